"""One real vLLM on CPU as a process of its own: started at once, awaited when needed, stopped for certain."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from tests.vllm_env import ENVIRONMENT, ensure, variables

# Three that start at once share two cores with the tests that need none of them.
READY_WITHIN_S = 600.0
STOPPED_WITHIN_S = 30.0
LOG_TAIL = 4000
# Of all sequences that run at once, at their full length.
CACHE_BYTES = 1 << 28


class VllmServer:
    """Serves one model folder as `name` on a port of its own. `url` ends without a slash and without /v1.

    It computes in float32, as the embedded engine does: bfloat16 is rounded by each processor in its own way, and the
    answers of the two could be compared only loosely.
    """

    def __init__(
        self, folder: Path, name: str, log: Path, environment: Path = ENVIRONMENT, thinks: bool = True
    ) -> None:
        """`thinks`: whether the model has thoughts to be told from its answers; one that has none needs no parser."""
        self._folder, self._name, self._log, self._environment = folder, name, log, environment
        self._thinks = thinks
        # Bound for as long as vLLM may need it, so that nobody else is given the port. vLLM may bind it all the same:
        # both reuse addresses, and this one never listens.
        self._port_held = socket.socket()
        self._port_held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port_held.bind(("127.0.0.1", 0))
        self._port: int = self._port_held.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the process and return at once; the environment is made first where it is missing."""
        ensure(self._environment)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(), env=self._variables(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        self._leash = _leash(self._process.pid)

    def wait(self) -> None:
        """Return once /health answers 200. Raises RuntimeError, with the end of the log, if that never happens."""
        assert self._process is not None, "start it first"
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._is_healthy():
            if _ends_within(self._process, 0.2):
                raise RuntimeError(f"vLLM ended with {self._process.returncode} before it was ready\n{self._tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"vLLM was not ready within {READY_WITHIN_S:.0f} s\n{self._tail()}")

    def stop(self) -> None:
        """Ask it to end, then make its whole process group end. Safe to call twice."""
        self._port_held.close()
        if self._process is None:
            return
        self._process.terminate()
        _ends_within(self._process, STOPPED_WITHIN_S)
        with suppress(ProcessLookupError):  # all of it has ended by itself
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._leash is not None:
            self._leash.communicate()
        self._process = self._leash = None

    def _command(self) -> list[str]:
        return [
            str(self._environment / "bin" / "vllm"), "serve", str(self._folder),
            "--host", "127.0.0.1", "--port", str(self._port), "--served-model-name", self._name,
            "--max-model-len", "2048", "--max-num-seqs", "32", "--dtype", "float32", "--enforce-eager",
            "--kv-cache-memory-bytes", str(CACHE_BYTES),
            "--enable-auto-tool-choice", "--tool-call-parser", "hermes",
            *(("--reasoning-parser", "qwen3") if self._thinks else ()),
        ]  # fmt: skip

    def _variables(self) -> dict[str, str]:
        """One OpenMP thread, bound to no core: with more, every barrier waits for whatever else the machine does.

        The worker lives in the process of its engine: a process more would import all of vLLM once more.
        """
        chosen = {
            **variables(),
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "OMP_NUM_THREADS": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        openmp = self._environment / "lib" / "libiomp5.so"
        return {**chosen, "LD_PRELOAD": str(openmp)} if openmp.exists() else chosen

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _tail(self) -> str:
        return self._log.read_text("utf-8", "replace")[-LOG_TAIL:]


def _leash(group: int) -> subprocess.Popen[bytes]:
    """A shell that kills the process group once its input ends: that is when this process is gone, even if killed."""
    command = ["sh", "-c", f"read _; kill -s KILL -- -{group} 2>/dev/null || true"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True

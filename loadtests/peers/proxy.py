"""A proxy under test as a process: how to start it, and what it has used."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.ports import free_port

PATIENCE_S = 30
# A prompt that the shipped router can say something about, so that the learned decision does its whole work.
MESSAGES = [
    {
        "role": "user",
        "content": "Ann has 31 apples. Ann gets 5. Ann gives away 9. Ann gets 2. How many apples does Ann have now?",
    }
]
CONFIG = """
[deployments.backend]
url = "{backend}"
model = "m"
router_name = "tiny"
family = "qwen3"
[models.named]
deployment = "backend"
policy = {{ kind = "client", default_effort = "low" }}
[models.dial]
deployment = "backend"
policy = {{ kind = "dial", dial = 0.65, budgets = [8, 16, 32, 64, 128, 256], default_effort = 64 }}
router = "tiny"
"""


@dataclass(frozen=True)
class Case:
    """A row of the table: the proxy it is asked of, and the request's body."""

    name: str
    proxy: Proxy
    body: dict[str, Any]


class Proxy:
    """Started on making, stopped on leaving; `cpu_s` and `rss_mib` are of the whole process, all threads."""

    def __init__(self, arguments: list[str], port: int, cwd: Path) -> None:
        self.port = port
        self._process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, cwd=cwd)
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self._process.kill()
                raise RuntimeError(f"{' '.join(arguments)} did not start")
            time.sleep(0.05)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def cpu_s(self) -> float:
        """Seconds on a core, as the scheduler counts them (in nanoseconds), thread by thread."""
        tasks = Path(f"/proc/{self._process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def rss_mib(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/openapi.json", timeout=1).close()
        except (urllib.error.URLError, OSError):
            return False
        return True


def floor(backend: str) -> Proxy:
    port = free_port()
    root = Path(__file__).parents[2]
    return Proxy(["-m", "loadtests.peers.floor", backend, str(port)], port, root)


def thinkgate(backend: str, folder: Path) -> Proxy:
    config, port = folder / "thinkgate.toml", free_port()
    config.write_text(CONFIG.format(backend=backend), "utf-8")
    return Proxy(["-m", "gateway.cli", "serve", "--config", str(config), "--port", str(port)], port, folder)

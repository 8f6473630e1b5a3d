"""The gateway under load: `thinkgate serve`, in front of the scripted upstream or with its embedded engine."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from loadtests.processes import Process

# `plain` passes everything through, `named` applies the client's level, `dial` takes the learned decision from the text
# alone; `asking` always sends a probe first.
CONFIG = """
[deployments.backend]
url = "{backend}"
model = "m"
router_name = "tiny"
family = "qwen3"
verify = false
[deployments.unknown]
url = "{backend}"
model = "m"
family = "plain"
[models.plain]
deployment = "unknown"
[models.named]
deployment = "backend"
policy = {{ kind = "client", default_effort = "low" }}
[models.dial]
deployment = "backend"
policy = {{ kind = "dial", dial = 0.65, budgets = [8, 16, 32, 64, 128, 256], default_effort = 64, probe = "never" }}
router = "tiny"
[models.asking]
deployment = "backend"
policy = {{ kind = "dial", dial = 0.65, budgets = [8, 16, 32, 64, 128, 256], default_effort = 64, probe = "always" }}
router = "tiny"
"""
# Time limit for a start, which may take long on a busy machine.
PATIENCE_S = 300
_READY = re.compile(r"thinkgate ready on http://[^ ]*:(\d+)")


def thinkgate(backend: str, folder: Path, workers: int = 1) -> tuple[Process, int]:
    """The process, and the port that it answers on. NotStarted if it does not."""
    return serve(CONFIG.format(backend=backend), folder, workers)


def serve(text: str, folder: Path, workers: int = 1) -> tuple[Process, int]:
    """The same with this configuration."""
    config = folder / "thinkgate.toml"
    config.write_text(text, "utf-8")
    options = ["--config", config, "--port", "0", "--workers", str(workers)]
    process = Process([sys.executable, "-m", "gateway.cli", "serve", *options], folder, name="thinkgate")
    try:
        process.wait_until(lambda: _READY.search(process.output()), PATIENCE_S)
    except BaseException:
        process.__exit__()
        raise
    return process, _port(process)


class Embedded:
    """A gateway that serves the shipped models with its embedded engine. `url` and `records` are set on entering."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.records = folder / "thinkgate.db"

    def __enter__(self) -> Embedded:
        command = [sys.executable, "-m", "gateway.cli", "serve", "--port", "0", "--records", self.records]
        self.process = Process(command, self._folder, name="thinkgate")
        try:
            self.process.wait_until(lambda: _READY.search(self.process.output()), PATIENCE_S)
        except BaseException:
            self.process.__exit__()
            raise
        self.url = f"http://127.0.0.1:{_port(self.process)}"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.__exit__()


def _port(process: Process) -> int:
    found = _READY.search(process.output())
    assert found is not None, "the process must be ready"
    return int(found.group(1))

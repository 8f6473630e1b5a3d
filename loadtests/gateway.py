"""A Thinkgate to load: `thinkgate serve`, in front of the scripted upstream or with its embedded engine."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from loadtests.processes import Process

# `plain` passes everything through, `named` obeys the client's level, `dial` makes the learned decision, by the text
# alone; `asking` asks for a probe first, always.
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
# For a start; it takes seconds, but on a busy machine.
PATIENCE_S = 300
_READY = re.compile(r"thinkgate ready on http://[^ ]*:(\d+)")


def thinkgate(backend: str, folder: Path, workers: int = 1) -> tuple[Process, int]:
    """The process, and the port that it answers on. NotStarted if it does not."""
    config = folder / "thinkgate.toml"
    config.write_text(CONFIG.format(backend=backend), "utf-8")
    options = ["--config", config, "--port", "0", "--workers", str(workers)]
    process = Process([sys.executable, "-m", "gateway.cli", "serve", *options], folder, name="thinkgate")
    try:
        process.wait_until(lambda: _READY.search(process.said()), PATIENCE_S)
    except BaseException:
        process.__exit__()
        raise
    return process, _port(process)


class Embedded:
    """A gateway that serves the models in the package by its own engine. `url` and `records` are there on entering."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.records = folder / "thinkgate.db"

    def __enter__(self) -> Embedded:
        command = [sys.executable, "-m", "gateway.cli", "serve", "--port", "0", "--records", self.records]
        self.process = Process(command, self._folder, name="thinkgate")
        try:
            self.process.wait_until(lambda: _READY.search(self.process.said()), PATIENCE_S)
        except BaseException:
            self.process.__exit__()
            raise
        self.url = f"http://127.0.0.1:{_port(self.process)}"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.__exit__()


def _port(process: Process) -> int:
    found = _READY.search(process.said())
    assert found is not None, "only a process that has said so is asked"
    return int(found.group(1))

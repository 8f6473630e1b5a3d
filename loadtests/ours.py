"""A Thinkgate of our own to load: `thinkgate serve` in front of the scripted upstream, with its records in a folder."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from loadtests.processes import Process

# `plain` passes everything through, `named` obeys the client's level, `dial` makes the learned decision.
CONFIG = """
[deployments.backend]
url = "{backend}"
model = "m"
router_name = "tiny"
family = "qwen3"
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
policy = {{ kind = "dial", dial = 0.65, budgets = [8, 16, 32, 64, 128, 256], default_effort = 64 }}
router = "tiny"
"""
PATIENCE_S = 60
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
    found = _READY.search(process.said())
    assert found is not None
    return process, int(found.group(1))

"""The `thinkgate` command in this process: what it says and how it ends, without a new Python each time."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from click.testing import CliRunner

from gateway.cli import main


def invoke(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """As `run` of `test_check.py`, which starts a process. What the command does not tell in words is raised."""
    words = [str(word) for word in arguments]
    with contextlib.chdir(cwd):
        done = CliRunner().invoke(main, words, catch_exceptions=False)
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)

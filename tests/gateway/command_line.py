"""Runs the `thinkgate` command in this process, and returns its output and exit status."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from click.testing import CliRunner

from gateway.cli import main


def invoke(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Like `run` of `test_check.py`, which starts a process. Unexpected exceptions are raised."""
    words = [str(word) for word in arguments]
    with contextlib.chdir(cwd):
        done = CliRunner().invoke(main, words, catch_exceptions=False)
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)

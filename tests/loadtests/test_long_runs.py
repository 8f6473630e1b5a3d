"""The long runs, made short: they load, watch and judge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc"),
]


def run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "loadtests", *arguments, "--json", str(file), "--plot", str(tmp_path / "p.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    figures: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return figures


def test_streams_are_held(tmp_path: Path) -> None:
    figures = run(tmp_path, "streams", "--streams", "20", "--seconds", "1.5")
    assert figures["errors"] == {} and figures["whole"] >= 20 and figures["chunks"] >= 20
    assert figures["verdicts"]["no error"] and "<= 400 MiB" in figures["verdicts"]
    assert figures["rss_peak_mib"] >= figures["rss_idle_mib"] > 0


def test_requests_are_counted_and_recorded(tmp_path: Path) -> None:
    figures = run(tmp_path, "million", "--requests", "400", "--warm-up", "100", "--connections", "8")
    assert (figures["errors"], figures["records"]) == ({}, 400)
    assert figures["cpu_ms_per_request"] > 0 and figures["rss_warm_mib"] > 0
    assert figures["verdicts"]["a record for each request"]

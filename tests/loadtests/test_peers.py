"""The comparison with the bare proxy, in small: every row measured, nothing left running."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="CPU times are read from /proc, which only Linux has")
def test_every_proxy_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "peers.json"
    command = [sys.executable, "-m", "loadtests.peers", "--requests", "30", "--rounds", "1", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(file.read_text("utf-8"))["rows"]
    assert len(rows) == 3 and rows[0]["request_over_floor"] == rows[0]["stream_over_floor"] == 1.0
    for row in rows:
        assert row["name"] in done.stdout
        assert row["cpu_ms_request"] > 0 and row["cpu_ms_stream"] > 0 and 0 < row["rss_mib"] < 300
        assert 0 < row["p50_ms"] <= row["p99_ms"]

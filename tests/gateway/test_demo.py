"""`make demo` in small: the table for people, and the file that others read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.patience import PATIENCE_S

FIELDS = {
    "name",
    "backend",
    "accuracy",
    "thinking_tokens",
    "total_tokens",
    "latency_p50_s",
    "latency_p95_s",
    "decision_ms_p99",
}


def test_the_demo_measures_every_policy_on_both_backends(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    command = [sys.executable, "-m", "gateway.commands.demo", "--quick", "--prompts", "12", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(file.read_text("utf-8"))["rows"]
    for backend in ("merged", "split"):
        named = {row["name"]: row for row in rows if row["backend"] == backend}
        assert {"never", "always"} <= set(named)
        assert len([name for name in named if name.startswith("budget-")]) == 2
        assert len([name for name in named if name.startswith("dial-")]) == 3
        assert named["never"]["thinking_tokens"] == 0 < named["always"]["thinking_tokens"]
        for name, row in named.items():
            assert set(row) >= FIELDS
            assert 0 < row["latency_p50_s"] <= row["latency_p95_s"]
            assert row["thinking_tokens"] < row["total_tokens"]
            assert name in done.stdout
            low, high = row["accuracy_ci"]
            assert 0 <= low <= row["accuracy"] <= high <= 1 and high - low > 0.1, "a dozen prompts prove little"
    assert [line for line in done.stdout.splitlines() if len(line) > 80 and str(file) not in line] == []
    assert list(tmp_path.iterdir()) == [file], "the demo leaves nothing behind"


def test_a_demo_that_cannot_start_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway.commands.demo", "--prompts", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, cwd=tmp_path)
    assert done.returncode == 2
    assert "1 is not in the range" in done.stderr

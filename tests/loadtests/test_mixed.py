"""The scenario against a real gateway with its embedded engine, for a few seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

REQUESTS = 60


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: locust changes the sockets of the one it runs in."""
    command = [sys.executable, "-m", "loadtests", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)


def test_mixed_traffic_is_served_and_reported(tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    done = run("--users", "8", "--seconds", "60", "--requests", str(REQUESTS), "--json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(file.read_text("utf-8"))
    total, rows = summary["total"], summary["rows"]
    assert (total["requests"], total["failed"], summary["errors"]) == (REQUESTS, 0, {})
    assert {row["kind"] for row in rows} == {"instruct", "reasoning"}
    assert {row["effort"] for row in rows} == {"auto", "none", "low", "medium", "high"}
    assert all(row["thinking_tokens"] == 0 for row in rows if row["effort"] == "none")
    assert any(row["thinking_tokens"] > 0 for row in rows if row["effort"] == "high")
    assert 0 < total["ttft_p50_s"] < total["latency_p95_s"]
    assert "unknown" not in total["applied"]
    assert total["accuracy"] > 0.5
    assert "thinking tokens of" in done.stdout


def test_only_this_machine_is_loaded() -> None:
    done = run("--host", "http://192.0.2.1:8080", "--users", "1", "--seconds", "2")
    assert done.returncode != 0
    assert "only a gateway on this machine is loaded" in done.stderr


def test_a_gateway_that_is_not_there_is_a_failure_that_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    done = run("--host", "http://127.0.0.1:9", "--users", "1", "--seconds", "5", "--requests", "2", "--json", str(file))
    assert done.returncode == 1
    assert json.loads(file.read_text("utf-8"))["total"]["failed"] == 2

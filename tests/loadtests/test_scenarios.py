"""Every scenario against a real gateway with its embedded engine, for a few seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from loadtests.gateway import Embedded

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what a process uses is read from /proc")
REQUESTS = 60
# Runs end with their last request, however long a busy machine takes for it.
PATIENCE = "3600"
# How many requests each scenario sends here.
SMALL = {"chat": 8, "batch": 12, "agent": 10, "burst": 8, "slow-reader": 2, "hang-ups": 12}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: locust changes the sockets of the one it runs in."""
    command = [sys.executable, "-m", "loadtests", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Embedded(tmp_path_factory.mktemp("gateway")) as embedded:
        yield embedded.url


@pytest.fixture(scope="module")
def summaries(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each of the small scenarios reported; side by side, since most of their time is starting up."""
    folder = tmp_path_factory.mktemp("summaries")

    def one(name: str) -> dict[str, Any]:
        file = folder / f"{name}.json"
        # One agent, so that it plays its whole session.
        bounds = ["--users", "1" if name == "agent" else "2", "--seconds", PATIENCE, "--requests", str(SMALL[name])]
        done = run(name, "--host", gateway, *bounds, "--json", str(file), "--plot", str(folder / f"{name}.png"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        summary: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return summary

    with ThreadPoolExecutor(len(SMALL)) as pool:
        return dict(zip(SMALL, pool.map(one, SMALL), strict=True))


@linux
def test_mixed_traffic_is_served_reported_and_watched(tmp_path: Path) -> None:
    file, picture = tmp_path / "summary.json", tmp_path / "soak.png"
    bounds = ["--users", "4", "--seconds", PATIENCE, "--requests", str(REQUESTS)]
    done = run(*bounds, "--soak", "--json", str(file), "--plot", str(picture))
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
    assert f"records: {REQUESTS}" in done.stdout and "back where they were" in done.stdout
    assert summary["soak"][-1]["count"] == REQUESTS
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in SMALL if name != "hang-ups"])
def test_each_scenario_is_served_whole(summaries: dict[str, dict[str, Any]], name: str) -> None:
    summary = summaries[name]
    assert (summary["total"]["requests"], summary["errors"], summary["hung_up"]) == (SMALL[name], {}, 0)
    assert summary["right_answers_per_s"] > 0


@pytest.mark.long
def test_those_who_stay_when_others_hang_up_are_served(summaries: dict[str, dict[str, Any]]) -> None:
    summary = summaries["hang-ups"]
    assert summary["errors"] == {}
    assert summary["hung_up"] > 0 and summary["total"]["requests"] == SMALL["hang-ups"] - summary["hung_up"]


@pytest.mark.long
def test_a_chat_goes_on_and_an_agent_calls_its_tools(summaries: dict[str, dict[str, Any]]) -> None:
    assert {"turn 1", "turn 2"} <= {row["kind"] for row in summaries["chat"]["rows"]}
    assert {row["kind"]: row["requests"] for row in summaries["agent"]["rows"]} == {"call": 5, "result": 5}


@pytest.mark.long
def test_a_slow_reader_sees_tokens_apart(summaries: dict[str, dict[str, Any]]) -> None:
    assert summaries["slow-reader"]["total"]["longest_gap_p95_s"] >= 0.05


def test_steps_are_reported_with_their_knee(gateway: str, tmp_path: Path) -> None:
    file, picture = tmp_path / "summary.json", tmp_path / "steps.png"
    steps = ["--steps", "1,2", "--step-seconds", "1", "--ttft-limit", "60", "--json", str(file)]
    done = run("mixed", "--host", gateway, *steps, "--plot", str(picture))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(file.read_text("utf-8"))
    assert [step["users"] for step in summary["steps"]] == [1, 2]
    assert summary["knee_users"] in (1, 2)
    assert "the knee: " in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_only_this_machine_is_loaded() -> None:
    done = run("--host", "http://192.0.2.1:8080", "--users", "1", "--seconds", "2")
    assert done.returncode != 0
    assert "only a gateway on this machine is loaded" in done.stderr


def test_a_gateway_that_is_not_there_is_a_failure_that_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    done = run(
        "--host", "http://127.0.0.1:9", "--users", "1", "--seconds", PATIENCE, "--requests", "2", "--json", str(file)
    )
    assert done.returncode == 1
    assert json.loads(file.read_text("utf-8"))["total"]["failed"] == 2

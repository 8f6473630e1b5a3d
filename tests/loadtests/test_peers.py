"""The comparison with the floor, in small: every row measured, fidelity seen, nothing left running."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtests.peers.bars import bars
from loadtests.peers.cases import Case
from loadtests.peers.fidelity import ROWS, check
from loadtests.peers.install import NotInstalled, install, version
from loadtests.peers.measure import Measured, Size, measure, ratio
from loadtests.peers.rivals import RIVALS, Rival, litellm
from loadtests.peers.target import Target
from loadtests.peers.upstream import Upstream
from loadtests.processes import Process
from tests.patience import PATIENCE_S

# A thread that uses a tenth of a second of CPU and ends, in a process that does not.
BUSY_THREAD = """
import threading, time
def work():
    begun = time.thread_time()
    while time.thread_time() < begun + 0.1:
        pass
thread = threading.Thread(target=work)
thread.start()
thread.join()
print("done", flush=True)
threading.Event().wait()
"""
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="CPU times of processes are read from /proc")


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("peers") / "peers.json"
    size = ["--requests", "60", "--rounds", "1", "--stream-seconds", "0"]
    command = [sys.executable, "-m", "loadtests", "peers", "--no-rivals", *size, "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    assert all(row["name"] in done.stdout for row in found["rows"])
    return found


@linux
def test_every_proxy_is_measured(figures: dict[str, Any]) -> None:
    direct, *rows = figures["rows"]
    assert (direct["cpu_ms_request"], direct["added_alone_p50_ms"]) == (0, 0)
    assert [row["name"] for row in rows] == ["floor", "thinkgate", "thinkgate, effort named by the client"]
    for row in rows:
        assert row["cpu_ms_request"] > 0 and row["cpu_ms_stream"] > 0 and row["rss_idle_mib"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"] and row["errors_at_once"] == {}


@linux
def test_nothing_is_lost_through_a_model_that_passes_through(figures: dict[str, Any]) -> None:
    wrong = {name: cells["thinkgate"] for name, cells in figures["fidelity"].items() if not cells["thinkgate"]["right"]}
    assert wrong == {}


@linux
def test_what_the_floor_loses_is_seen(figures: dict[str, Any]) -> None:
    rows = figures["fidelity"]
    assert not rows["traceparent, tracestate reach upstream"]["floor"]["right"]
    assert rows["429: status, tries, Retry-After kept"]["floor"] == {"right": False, "seen": "429, 1, no"}
    assert rows["upstream dies in mid-stream"]["floor"]["seen"] == "broken transfer"
    assert rows["forwards reasoning"]["floor"]["right"]


@linux
def test_rivals_that_take_no_part_are_named(figures: dict[str, Any]) -> None:
    assert set(figures["left_out"]) == {rival.name for rival in RIVALS}
    assert {bar["kept"] for bar in figures["bars"] if "litellm" in bar["what"]} == {None}


def test_the_direct_way_loses_nothing_but_what_only_a_proxy_can_do() -> None:
    """Without a proxy an answer cut short is a broken transfer, and nobody hands a request id back."""
    with Upstream() as transport:
        rows = check(Target(transport.port), transport)
    assert {name for name, row in rows.items() if not row.right} == {
        "x-request-id to upstream and back",
        "upstream dies in mid-stream",
    }
    assert set(rows) == set(ROWS)


def test_who_does_not_answer_is_left_out_and_named() -> None:
    output: list[str] = []
    with Upstream() as transport, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # where nobody listens, nor anybody else can
        direct = Case("direct", Target(transport.port), None, "")
        gone = Case("gone", Target(nobody.getsockname()[1]), None, "")
        refusing = Case("refusing", Target(transport.port, model="#status=500"), None, "")
        found, failed = measure([direct, gone, refusing], Size(10, 2, 0), output.append)
    assert list(found) == ["direct"] and len(found["direct"].alone) == 20
    assert set(failed) == {"gone", "refusing"} and "500" in failed["refusing"]
    assert any("gone is left out" in line for line in output)


def test_ratios_are_taken_within_rounds() -> None:
    found = {"a": Measured(cpu_request=[1.0, 4.0, 2.0]), "b": Measured(cpu_request=[2.0, 8.0, 2.0])}
    assert ratio(found, "cpu_request", "a", "b") == 0.5


def test_bars_are_judged_by_what_was_measured() -> None:
    found = {
        "thinkgate": Measured(cpu_request=[0.4], cpu_stream=[0.8]),
        "floor": Measured(cpu_request=[0.4], cpu_stream=[0.8]),
        "litellm": Measured(cpu_request=[8.0], cpu_stream=[16.0]),
    }
    row = {
        "cpu_ms_request": 0.4,
        "cpu_ms_stream": 0.8,
        "added_at_once_p50_ms": 1.0,
        "added_at_once_p99_ms": 11.0,
        "rss_idle_mib": 150.0,
    }
    fidelity = {"one": {"thinkgate": {"right": True}}, "other": {"thinkgate": {"right": False}}}
    judged = bars(found, {"thinkgate": row}, fidelity)
    assert [bar.kept for bar in judged] == [True, True, None, True, False, None, False, True, False, True, False]
    assert "1 of 2" in judged[-1].value


def test_an_installation_that_fails_says_why(tmp_path: Path) -> None:
    rival = Rival("nobody", litellm, wheels=("./there-is-no-such-folder",))
    with pytest.raises(NotInstalled, match="make peers"):
        version(rival, tmp_path)
    output: list[str] = []
    install(rival, tmp_path, output.append)
    assert "cannot be installed" in output[-1]
    with pytest.raises(NotInstalled, match=r"its installation failed: .*there-is-no-such-folder"):
        version(rival, tmp_path)


@linux
def test_cpu_of_threads_that_have_ended_counts(tmp_path: Path) -> None:
    with Process([sys.executable, "-c", BUSY_THREAD], tmp_path) as process:
        process.wait_until(lambda: "done" in process.output(), PATIENCE_S)
        assert process.cpu_s() >= 0.1
        assert process.tree() == [process.pid] and process.files() >= 3 and process.rss_mib() > 1

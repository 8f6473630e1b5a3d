"""Whatever requests do, in several processes: no window is overspent by more than the stated share."""

from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.key_principal import KeyPrincipal
from gateway.auth.metering import Metering
from gateway.auth.usage_store import UsageStore
from gateway.core.planned import Planned
from tests.gateway.bounded import FEW
from tests.gateway.keyed import Clock
from tests.gateway.spending import LIMIT, NOON, Run, begin, end

WHICH = st.integers(0, 1)
ASK = st.tuples(st.just("ask"), WHICH, st.none() | st.integers(0, 1200) | st.just(-1), st.integers(1, 3))
# How much of its budget it used: short thoughts teach the gateway to expect little, and then come the long ones.
END = st.tuples(st.just("end"), st.integers(0, 30), st.sampled_from([0.0, 0.02, 0.02, 1.0]))


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
@given(steps=st.lists(ASK | END, max_size=80))
@settings(FEW, max_examples=30)
def test_no_window_is_overspent_by_more_than_its_share(run: Run, share: float, steps: list[tuple]) -> None:  # type: ignore[type-arg]
    with TemporaryDirectory() as folder:
        clock, path = Clock(), Path(folder) / "usage"
        processes = [Metering(UsageStore(path), clock, 400) for _ in range(2)]
        running: list[tuple[KeyPrincipal, Planned]] = []
        for kind, which, *what in steps:
            if kind == "ask":
                began = begin(run, processes[which], share, *what)
                running += [began] if began else []
            elif running:
                end(*running.pop(which % len(running)), *what)
            for slot, most in ((1, LIMIT), (2, 2 * LIMIT)):
                row = processes[0].counters.read(slot, clock.now)
                assert row.day_used + row.held_thinking <= most * (1 + share)
                assert 0 <= row.slack_thinking <= row.held_thinking
                assert row.running == len(running)
        for each in running:
            end(*each, 1.0)
        row = processes[1].counters.read(1, clock.now)
        assert row.hour_used <= LIMIT * (1 + share) and not any(row.held)
        for process in processes:
            process.counters.close()


PROCESS = """
import random, sys
from pathlib import Path
from tests.gateway.spending import live
live(Path(sys.argv[1]), int(sys.argv[2]))
"""


def test_two_processes_together_stay_within_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "usage")]
    both = [subprocess.Popen([*command, str(seed)], stderr=subprocess.PIPE, text=True) for seed in (1, 2)]
    for process in both:
        _, said = process.communicate()
        assert process.returncode == 0, said
    counters = UsageStore(tmp_path / "usage")
    row = counters.read(1, NOON)
    assert 0.9 * LIMIT <= row.hour_used <= 1.1 * LIMIT and not any(row.held)
    counters.close()


def test_files_of_the_release_before_are_read_and_it_reads_ours(tmp_path: Path, run: Run) -> None:
    """Its rows and reservations end before the slack, which is zero there and which it leaves alone."""
    path, before = tmp_path / "usage", struct.Struct("<14q5d2q")
    values = [int(NOON // 60), int(NOON // 3600), int(NOON // 86_400), 0, 3, 70, 50, 90, 60, 80, 3, 20, 50, 60]
    old = bytearray(64 * 256)
    old[:17] = b"TGUSAGE1" + struct.pack("<q", 7) + b"\x01"
    before.pack_into(old, 256, *values, 0.5, 1.0, 1.0, 1.0, NOON, 2, 100)
    path.write_bytes(old)
    counters = UsageStore(path)
    row = counters.read(1, NOON)
    assert (row.hour_used, row.held_thinking, row.expected_thinking, row.running) == (50, 80, 80, 2)
    assert counters.version() == 7
    metering = Metering(counters, lambda: NOON, 400)
    for _ in range(12):
        began = begin(run, metering, 0.1, 100)
        assert began is not None
        end(*began, 0.02)
    began = begin(run, metering, 0.1, 100)
    assert began is not None
    found = before.unpack_from(path.read_bytes(), 256)
    # It counts on the worst case, and so keeps its own promise.
    assert found[9] == 80 + 100 and counters.read(1, NOON).expected_thinking == 80 + 2
    # It gives back all that was held, and knows of no slack.
    changed = bytearray(path.read_bytes())
    struct.pack_into("<q", changed, 256 + 9 * 8, 0)
    path.write_bytes(changed)
    reopened = UsageStore(path)
    assert reopened.read(1, NOON).expected_thinking == 0
    reopened.close()
    counters.close()

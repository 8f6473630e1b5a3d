"""Assignment is a pure function of unit, salt and weights."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from gateway.core.arm import Arm
from gateway.core.unit import unit_hash
from gateway.routing.experiments.assignment import assign, position
from tests.gateway.conftest import Start, table
from tests.gateway.scripted import ScriptedBackend

A, B, C = (Arm.of(name, None, None, ()) for name in "abc")
UNITS = [f"unit-{number}" for number in range(4000)]


def moved(before: dict[Arm, float], after: dict[Arm, float]) -> Counter[tuple[str, str]]:
    """From which arm to which units go when weights change."""
    ways = ((assign(unit, "salt", before).name, assign(unit, "salt", after).name) for unit in UNITS)
    return Counter((old, new) for old, new in ways if old != new)


def test_positions_fill_the_open_interval_and_units_are_shared_by_weight() -> None:
    positions = [position(unit, "salt", "a") for unit in UNITS]
    assert min(positions) > 0 and max(positions) < 1
    assert abs(sum(positions) / len(UNITS) - 0.5) < 0.02
    found = Counter(assign(unit, "salt", {A: 1, B: 2, C: 1}).name for unit in UNITS)
    assert [found[name] / len(UNITS) for name in "abc"] == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_a_unit_stays_and_experiments_are_independent() -> None:
    first, again, other = (position("u", salt, "a") for salt in "xxy")
    assert first == again != other
    both = Counter((assign(unit, "x", {A: 1, B: 1}).name, assign(unit, "y", {A: 1, B: 1}).name) for unit in UNITS)
    assert min(both.values()) > 0.22 * len(UNITS)
    assert "somebody" not in unit_hash("somebody@example.com")


def test_a_ramp_moves_no_unit_that_it_need_not() -> None:
    ramp = moved({A: 9, B: 1}, {A: 8, B: 2})
    assert set(ramp) == {("a", "b")} and ramp.total() / len(UNITS) == pytest.approx(0.1, abs=0.02)
    grown = moved({A: 1, B: 1, C: 1}, {A: 1, B: 1, C: 2})
    assert set(grown) == {("a", "c"), ("b", "c")} and grown.total() / len(UNITS) == pytest.approx(1 / 6, abs=0.02)
    stopped = moved({A: 1, B: 1, C: 1}, {A: 1, C: 1})
    assert set(stopped) == {("b", "a"), ("b", "c")}
    assert not moved({A: 1, B: 3}, {A: 2, B: 6}), "only shares count"


def test_merged_against_split_is_one_table_of_arms(backend: ScriptedBackend, start: Start) -> None:
    settings = table(backend.url)
    arms = {"merged": {"deployment": "hybrid"}, "split": {"none": "instruct", "think": "thinking", "weight": 3}}
    settings["models"]["tried"] = {"arms": arms}
    gateway = start(settings)
    ask: dict[str, Any] = {"model": "tried", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "low"}
    seen = {}
    for unit in range(20):
        named = [{"user": f"u{unit}"}, {"metadata": {"conversation_id": f"u{unit}"}, "user": "another"}]
        told = {gateway.post({**ask, **fields}).headers["x-thinkgate-arm"] for fields in named}
        assert len(told) == 1, "one unit, one arm"
        seen[unit] = told.pop()
    assert set(seen.values()) == {"merged", "split"}
    assert list(seen.values()).count("split") > 10
    rows = gateway.records()
    assert {row["deployment"] for row in rows} == {"hybrid", "thinking"}
    assert len({row["unit"] for row in rows}) == 20

"""Assignment is a pure function of unit and salt."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.arm import Arm
from gateway.core.unit import unit_hash
from gateway.routing.experiments.assignment import arm_at, assign, position
from tests.gateway.conftest import Start, table
from tests.gateway.scripted import ScriptedBackend


def arm(name: str, weight: float) -> Arm:
    return Arm.of(name, None, None, (), weight)


ARMS = (arm("a", 1), arm("b", 2), arm("c", 1))


@pytest.mark.parametrize(
    ("u", "expected"), [(0.0, "a"), (0.249, "a"), (0.25, "b"), (0.749, "b"), (0.75, "c"), (1 - 2**-53, "c")]
)
def test_the_interval_is_shared_by_weight(u: float, expected: str) -> None:
    assert arm_at(u, ARMS).name == expected


def test_positions_fill_the_half_open_interval_evenly() -> None:
    positions = [position(f"unit-{i}", "salt") for i in range(4000)]
    assert min(positions) >= 0 and max(positions) < 1
    assert abs(sum(positions) / 4000 - 0.5) < 0.02
    shares = [sum(assign(f"unit-{i}", "salt", ARMS).name == name for i in range(4000)) / 4000 for name in "abc"]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_a_unit_stays_and_experiments_are_independent() -> None:
    first, again, other = (position("u", salt) for salt in "xxy")
    assert first == again != other
    assert "somebody" not in unit_hash("somebody@example.com")


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

"""One contract for every row: what goes out for each effort is legal for the family, whatever the client named.

The fixtures say what goes out; `python -m tests.families.record` writes them. What is legal is read off the row here,
and not out of the code that tells it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.config.family_row import PARTS
from gateway.core.family import Family
from gateway.families import table
from tests.every import every
from tests.families import record as recording
from tests.families.forms import ANSWER, THOUGHT, THOUGHT_TOKENS
from tests.families.record import ASKED, FOLDER, LEVELS, Recorder, fixture, path, read, rows

NAMES = table.shipped().names()
ORDER = {name: step for step, name in enumerate(LEVELS)}
ROWS = every(rows())


def family(name: str, engine: str) -> Family:
    return table.shipped().family(name, engine)  # type: ignore[arg-type]


def recorded(name: str, engine: str) -> dict[str, Any]:
    found: dict[str, Any] = read(name)[engine]
    return found


def value_in(told: Mapping[str, Any], field: str | None) -> Any:
    """What stands in a field whose name may have dots."""
    here: Any = told
    for part in (field or "").split("."):
        here = here.get(part) if isinstance(here, Mapping) else None
    return here


def holds(told: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    """Whether the fields are told, objects within objects."""
    return all(
        holds(told.get(name) or {}, value) if isinstance(value, Mapping) else name in told and told[name] == value
        for name, value in fields.items()
    )


def leaves(told: Mapping[str, Any], above: str = "") -> set[str]:
    """The dotted names of all that is told."""
    found: set[str] = set()
    for name, value in told.items():
        found |= leaves(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}"}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_what_goes_out_is_what_was_recorded(name: str, record: Recorder) -> None:
    assert path(name).is_file(), f"record {name}: python -m tests.families.record"
    now = json.loads(json.dumps(fixture(name, record)))
    assert now == read(name), "read the difference, then: python -m tests.families.record"


def test_there_is_no_fixture_without_a_family() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == {*NAMES}


@ROWS
def test_every_part_of_a_row_says_where_it_is_written(name: str, engine: str) -> None:
    row = family(name, engine)
    told = {"hybrid", "default", "off", "on", "history", "history_field", "answer_field", "usage", "budget"}
    told |= {"levels"} if row.levels else set()
    told |= {"nearest"} if row.nearest else set()
    told |= {"limit"} if row.limit_field else set()
    told |= {"system"} if row.system == "first" else set()
    assert told <= {*row.sources} <= {*PARTS}
    for source in (*row.sources.values(), *(fault.source for fault in row.known_issues)):
        assert len(source) > 10


@ROWS
def test_every_level_has_one_that_stands_for_it(name: str, engine: str) -> None:
    row = family(name, engine)
    if not row.levels:
        assert not row.nearest
        return
    assert [*row.levels] == sorted(row.levels, key=ORDER.__getitem__), "weakest first"
    assert {*row.levels} | {*row.nearest} == {*LEVELS} - {"none"}
    assert not {*row.levels} & {*row.nearest}
    legal = {*row.levels} | ({"none"} if row.off is not None else set())
    assert {*row.nearest.values()} <= legal


@ROWS
def test_no_thinking_is_told_or_said_to_be_impossible(name: str, engine: str) -> None:
    row = family(name, engine)
    none = recorded(name, engine)["asked"]["none"]
    if row.passes_through:
        assert none["told"] == ASKED["none"]
    elif row.off is not None:
        assert (none["told"], none["applied"], none["notes"]) == (row.off, "none", [])
        assert "refused_strictly" not in none
    else:
        assert none["applied"] != "none"
        assert "cannot turn thinking off" in none["notes"][0]
        assert "cannot turn thinking off" in none["refused_strictly"]["message"]
        assert holds(none["told"], row.on or {}) or row.budget_field is not None


@ROWS
def test_what_is_told_is_legal(name: str, engine: str) -> None:
    for asked in ASKED:
        is_legal(asked, family(name, engine), recorded(name, engine)["asked"][asked])


def is_legal(asked: str, row: Family, seen: Mapping[str, Any]) -> None:
    told = seen["told"]
    if row.passes_through:
        assert told == ASKED[asked]
        assert seen["applied"] is None
        return
    if seen["applied"] == "none":
        assert told == (row.off or {})
        return
    known = leaves(row.on or {}) | leaves(row.budget_with) | {row.level_field, row.budget_field}
    assert leaves(told) <= known, "nothing of the client's own words is left"
    level, budget = value_in(told, row.level_field), value_in(told, row.budget_field)
    if level is not None and row.level_field not in leaves(row.off or {}):
        assert level in row.levels.values()
    if row.levels:
        assert level is not None or row.budget_instead
    if budget is not None and budget != value_in(row.on or {}, row.budget_field):
        assert row.budget_least <= budget <= (row.budget_most or budget)
        assert budget % row.budget_step == 0
        assert str(budget) == seen["applied"] == seen["budget"]


@ROWS
def test_a_budget_is_told_within_what_is_legal(name: str, engine: str) -> None:
    for wanted in (3, 3000):
        is_within(wanted, family(name, engine), recorded(name, engine)["asked"][f"{wanted} tokens"])


def is_within(wanted: int, row: Family, seen: Mapping[str, Any]) -> None:
    if row.budget_field is None or row.on is None:
        assert value_in(seen["told"], row.budget_field) is None
        assert row.passes_through or seen["notes"], "that it was not told is said"
        return
    budget = value_in(seen["told"], row.budget_field)
    assert budget == max(min(wanted, row.budget_most or wanted) // row.budget_step * row.budget_step, row.budget_least)
    assert bool(seen["notes"]) == (budget != wanted)


@ROWS
def test_what_cannot_be_told_is_said_and_refused_by_a_strict_model(name: str, engine: str) -> None:
    for asked in LEVELS:
        is_said_and_refused(asked, family(name, engine), recorded(name, engine)["asked"][asked])


def is_said_and_refused(asked: str, row: Family, seen: Mapping[str, Any]) -> None:
    if row.passes_through:
        assert "refused_strictly" not in seen
        return
    if "refused_strictly" in seen:
        assert seen["notes"], "what a strict model refuses is rounded aloud by one that is not"
        assert seen["refused_strictly"]["param"] == "reasoning_effort"
        assert "It takes" in seen["refused_strictly"]["message"]
    if row.levels and asked in row.levels:
        assert "refused_strictly" not in seen
        assert value_in(seen["told"], row.level_field) == row.levels[asked]
    if row.levels and asked in row.nearest:
        assert "refused_strictly" in seen
        legal = row.nearest[asked]
        if legal == "none":
            assert seen["told"] == row.off
        else:
            assert value_in(seen["told"], row.level_field) == row.levels[legal]


@ROWS
def test_what_the_system_says_late_is_said_where_the_family_takes_it(name: str, engine: str) -> None:
    seen = recorded(name, engine)["reminded"]
    everything = " ".join(message["content"] for message in seen)
    assert [everything.count(text) for text in ("Hello", "Be brief.", "What is 2+2?", "No lists.")] == [1, 1, 1, 1]
    late = [message["content"] for message in seen if message["role"] == "system"]
    assert late == (["Be brief.", "No lists."] if family(name, engine).system == "anywhere" else [])


@ROWS
def test_thoughts_go_back_as_the_family_wants_them(name: str, engine: str) -> None:
    row = family(name, engine)
    seen = recorded(name, engine)["thoughts_go_back"]
    if row.passes_through:
        assert [message["reasoning"] for message in seen["answers"]] == ["a greeting", "I need a sum"]
        return
    earlier, in_the_loop = (
        {field: message[field] for field in ("reasoning", "reasoning_content", "reasoning_details") if field in message}
        for message in seen["answers"]
    )
    fields = {row.history_field}
    assert {*earlier} == (fields if row.history == "keep" else set())
    assert {*in_the_loop} == (fields if row.history in ("keep", "tools") else set())
    if row.history == "drop":
        assert not seen["told_besides"]
    else:
        assert seen["told_besides"] == row.history_with
        thought = json.dumps(in_the_loop)
        assert "I need a sum" in thought, "byte for byte"


@ROWS
def test_the_limit_has_the_name_that_the_family_knows(name: str, engine: str) -> None:
    row = family(name, engine)
    assert recorded(name, engine)["limit"] == {row.limit_field or "max_tokens": 9000}


@ROWS
def test_what_comes_back_reaches_the_client(name: str, engine: str) -> None:
    row = family(name, engine)
    seen = recorded(name, engine)
    message = seen["answer"]["message"]
    assert message["content"] == ANSWER
    deltas = [event for event in seen["stream"] if "usage" not in event]
    assert "".join(delta.get("content") or "" for delta in deltas) == ANSWER
    assert seen["stream"][-1]["usage"] == seen["answer"]["usage"]
    counted = bool(row.usage_field) and row.on is not None
    assert value_in(seen["answer"]["usage"], row.usage_field) == (THOUGHT_TOKENS if counted else None)
    if row.on is not None and row.answer_field:
        assert message[row.answer_field] == THOUGHT
        assert "".join(delta.get(row.answer_field) or "" for delta in deltas) == THOUGHT


def test_the_fixtures_are_written_the_way_they_are_compared() -> None:
    for name in NAMES:
        assert recording.text(read(name)) + "\n" == path(name).read_text("utf-8")

"""Outcome tables: what is read of them, and which arms are compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from router_model.data import hold_out, outcome_reader, outcomes
from router_model.data.outcomes import OutcomeError
from router_model.tasks import generate
from router_model.training import selection
from tests.router_model import tables


def test_matrices_have_a_hole_where_an_arm_was_not_run(tmp_path: Path) -> None:
    rows = tables.rows(n=3)[1:]
    table = outcome_reader.read([tables.write(rows, tmp_path / "t.parquet")])
    assert [arm.name for arm in table.arms] == [
        "m/nothink", "m/budget-8", "m/budget-16", "m/budget-32", "m/budget-64", "m/think",
    ]  # fmt: skip
    assert np.isnan(table.correct[0, 0]) and not np.isnan(table.correct[1:]).any()
    assert table.prompts[0].group.startswith("sum/")


def test_messages_and_tools_are_read() -> None:
    messages = [{"role": "system", "content": "Hi"}, {"role": "user", "content": "[1, 2] sorted?"}]
    tools = [{"type": "function", "function": {"name": "f"}}]
    row = tables.row("d", "1", json.dumps(messages), "m", "nothink", None, 1.0, 0) | {"tools": json.dumps(tools)}
    prompt = outcome_reader.from_rows([row]).prompts[0]
    assert prompt.messages == messages and prompt.tools == tools
    plain = outcome_reader.messages_of("[1, 2] sorted?")
    assert plain == [{"role": "user", "content": "[1, 2] sorted?"}]


def test_pairs() -> None:
    table = outcome_reader.from_rows(tables.rows(n=2, models=("m", "n")))
    weak, strong = table.pair("m/nothink", "n/budget-64")
    assert (weak.name, strong.name) == ("m/nothink", "n/budget-64")
    with pytest.raises(OutcomeError, match="m, n were all run both ways; choose a pair"):
        table.pair(None, None)
    with pytest.raises(OutcomeError, match=r"no arm 'm/thinks' in the data; there are: m/budget-16"):
        table.pair("m/nothink", "m/thinks")
    with pytest.raises(OutcomeError, match="give both"):
        table.pair("m/nothink", None)
    assert outcome_reader.from_rows(tables.rows(n=2)).pair(None, None)[1].name == "m/think"


def test_one_arm_only_is_refused() -> None:
    table = outcome_reader.from_rows([row for row in tables.rows(n=60) if row["mode"] == "nothink"])
    with pytest.raises(OutcomeError, match="one arm only: the data has no think rows"):
        table.pair(None, None)
    with pytest.raises(OutcomeError, match="one arm only"):
        selection.trainable(table, lambda line: None)


def test_the_same_question_is_one_group() -> None:
    assert outcomes.stem("What is  2+2?") == outcomes.stem("what is 2 + 2") != outcomes.stem("what is 2 + 3")


def test_test_rows_and_small_arms_are_left_out_of_training() -> None:
    rows = tables.rows(n=100)
    for row in rows:
        row["router_split"] = "test" if row["prompt_id"] < "0-3" else "train"
    rows = [row for row in rows if row["budget"] != 8 or row["prompt_id"] > "0-9"]
    said: list[str] = []
    table = selection.trainable(outcome_reader.from_rows(rows), said.append)
    assert not any(prompt.test for prompt in table.prompts)
    assert "m/budget-8" not in {arm.name for arm in table.arms}
    assert any("router_split=test" in line for line in said) and any("m/budget-8" in line for line in said)


def test_whole_groups_are_held_out_and_collections_agree() -> None:
    many, few = list(generate(31, 400)), list(generate(31, 100))
    held_out = hold_out.ids(many, 0.2)
    phrasings = {prompt.phrasing for prompt in many if prompt.id in held_out}
    assert held_out == {prompt.id for prompt in many if prompt.phrasing in phrasings}
    assert 0.1 < len(held_out) / len(many) < 0.35
    assert hold_out.ids(few, 0.2) == held_out & {prompt.id for prompt in few}
    assert hold_out.ids(many, 0.0) == set() and hold_out.ids(many, 0.1) < held_out
    alike = [replace(prompt, phrasing="support/0") for prompt in many]
    assert 0.1 < len(hold_out.ids(alike, 0.2)) / len(alike) < 0.3


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutcomeError, match="no such file"):
        outcome_reader.read([tmp_path / "u.parquet"])

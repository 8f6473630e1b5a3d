"""The task suite: answers verify, splits are kept apart, draws repeat."""

from __future__ import annotations

import json
import random
import re
from itertools import repeat
from pathlib import Path

import pytest

from router_model.tasks import (
    FAMILIES,
    ROUTER_NEW_FAMILIES,
    draw,
    generate,
    is_held_out,
    read_jsonl,
    router_new_phrasing,
    verify,
    write_jsonl,
)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_right_answer_verifies_and_another_does_not(family: str) -> None:
    rng = random.Random(5)
    task = FAMILIES[family]
    for level in range(1, task.levels + 1):
        for _ in range(20):
            prompt = draw(rng, task, level)
            assert verify(prompt, "\n\n" + prompt.answer) == 1.0
            assert verify(prompt, "") == 0.0
            assert verify(prompt, None) == 0.0
            others = (draw(rng, task, fixed) for fixed in repeat(level))
            assert verify(prompt, next(p.answer for p in others if p.answer != prompt.answer)) == 0.0


def test_every_wording_of_every_family_can_be_filled() -> None:
    rng = random.Random(6)
    for task in FAMILIES.values():
        assert len(task.phrasings) >= 12
        for index in range(len(task.phrasings)):
            messages = draw(rng, task, 1, phrasings=[index]).messages
            unfilled = [m for m in messages if re.search(r"\{[a-z]+\}", m["content"])]
            assert not unfilled, (task.name, index)


def test_tool_calls_are_judged_in_the_form_of_the_api() -> None:
    prompt = draw(random.Random(1), FAMILIES["tool"], 1)
    call = json.loads(prompt.answer.split("\n")[1])
    function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
    assert verify(prompt, "", [{"id": "1", "type": "function", "function": function}]) == 1.0
    assert verify(prompt, "", [{"id": "1", "type": "function", "function": {**function, "name": "other"}}]) == 0.0


def test_a_seed_gives_the_same_prompts() -> None:
    first, second = (list(generate(11, 200)) for _ in range(2))
    assert first == second
    assert len({prompt.id for prompt in first}) == 200


def test_held_out_problems_are_never_drawn_for_training() -> None:
    for prompt in generate(3, 400, split="train"):
        assert prompt.split == "train"
    small = {"add", "sub", "mul", "dial", "boolean"}
    for prompt in generate(3, 400, split="held-out"):
        assert prompt.split == "held-out" or (prompt.family in small and prompt.level <= 2)


def test_about_four_percent_is_held_out() -> None:
    share = sum(is_held_out("chain", 5, f"chain {n}") for n in range(20_000)) / 20_000
    assert 0.03 < share < 0.05


def test_kinds_take_turns_and_wordings_are_kept_apart() -> None:
    known = [name for name in FAMILIES if name not in ROUTER_NEW_FAMILIES]
    new = list(generate(4, 300, families=known, new_phrasings=True))
    assert [prompt.kind for prompt in new[:4]] == ["reasoning", "instruct", "reasoning", "instruct"]
    assert all(router_new_phrasing(prompt.phrasing) for prompt in new)
    assert not any(router_new_phrasing(p.phrasing) for p in generate(4, 300, families=known, new_phrasings=False))
    assert {prompt.family for prompt in new} <= set(known)


def test_prompts_survive_a_file(tmp_path: Path) -> None:
    prompts = list(generate(8, 30))
    assert write_jsonl(prompts, tmp_path / "tasks.jsonl") == 30
    again = read_jsonl(tmp_path / "tasks.jsonl")
    assert [prompt.row() for prompt in again] == [prompt.row() for prompt in prompts]


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl"
    write_jsonl(generate(8, 2), file)
    file.write_text(file.read_text("utf-8") + '{"id": 1}\n', "utf-8")
    with pytest.raises(ValueError, match="line 3"):
        read_jsonl(file)

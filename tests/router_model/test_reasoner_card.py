"""The model card: figures by family, level and effort, and merged against split, pair by pair."""

from __future__ import annotations

from typing import Any

from router_model.reasoner import card, compare


def row(model: str, prompt: str, mode: str, correct: float, budget: int | None = None, **more: Any) -> dict[str, Any]:
    return {
        "model": model,
        "prompt_id": prompt,
        "mode": mode,
        "budget": budget,
        "correct": correct,
        "completion_tokens": 10,
        "task": "add",
        "kind": "reasoning",
        "level": 1,
        **more,
    }


ROWS = [
    row("tiny", "a", "nothink", 1.0),
    row("tiny", "b", "nothink", 0.0),
    row("tiny-instruct", "a", "nothink", 1.0),
    row("tiny-instruct", "b", "nothink", 1.0),
    row("tiny", "a", "budget", 0.0, 8),
    row("tiny-thinking", "a", "budget", 1.0, 8),
    row("tiny", "a", "think", 1.0),
    row("tiny", "b", "think", 1.0),
]


def test_the_table_has_every_effort_in_order() -> None:
    lines = card.table([r for r in ROWS if r["model"] == "tiny"]).splitlines()
    assert lines[0] == "| task | level | n | no | 8 | full |"
    assert lines[2] == "| add | 1-2 | 2 | 50/10 | 0/10 | 100/10 |"


def test_only_prompts_that_both_sides_answered_are_compared() -> None:
    lines = compare.table([ROWS]).splitlines()[2:]
    assert lines == [
        "| 0 | reasoning | no | 2 | 50.0 | 100.0 | +50.0 [-27.3, +90.5] |",
        "| 0 | reasoning | 8 | 1 | 0.0 | 100.0 | +100.0 [-12.2, +100.0] |",
    ]

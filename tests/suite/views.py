"""The suite's prompts as requests, in several views: alone, and with what real deployments put around them.

What stands around a prompt is drawn by the seed, the view and the prompt's id alone, so that it is the same whichever
other prompts are drawn.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent
VIEWS = ("alone", "system", "history", "tools", "harness", "narrow")
# Under these system prompts anything is a trivial job, so the grades do not hold.
NARROW = frozenset({"sys-classifier", "sys-json-extraction", "sys-translation-service"})
# "yes go ahead" is trivial, except after these turns.
NEVER = {("en-072", "hist-hard-approval"), ("en-072", "hist-planning-offer")}
ASK = "{{ask}}"


class Case(NamedTuple):
    """One request of the suite. `around` names what stands around its prompt."""

    id: str
    view: str
    around: str
    kind: str
    language: str
    difficulty: int
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None


@cache
def prompts() -> tuple[Mapping[str, Any], ...]:
    return tuple(_rows("suite.jsonl"))


@cache
def _material(view: str) -> tuple[Mapping[str, Any], ...]:
    rows = [row for row in _rows("views.jsonl") if row["view"] == ("system" if view == "narrow" else view)]
    return tuple(row for row in rows if view not in ("system", "narrow") or (row["id"] in NARROW) == (view == "narrow"))


def cases(view: str, seed: int = 0) -> list[Case]:
    """All prompts in one of `VIEWS`."""
    return [_case(row, view, seed) for row in prompts()]


def _case(row: Mapping[str, Any], view: str, seed: int) -> Case:
    asked: list[dict[str, Any]] = [{"role": "user", "content": row["prompt"]}]
    about = row["id"], view
    graded = row["kind"], row["language"], row["difficulty"]
    if view == "alone":
        return Case(*about, "", *graded, asked, None)
    allowed = [one for one in _material(view) if (row["id"], one["id"]) not in NEVER]
    drawn = random.Random(f"{seed} {view} {row['id']}").choice(allowed)
    if view == "tools":
        return Case(*about, drawn["id"], *graded, asked, drawn["content"])
    messages = _filled(drawn["content"], row["prompt"]) if view == "harness" else [*drawn["content"], *asked]
    return Case(*about, drawn["id"], *graded, messages, None)


def _filled(content: Any, prompt: str) -> Any:
    if isinstance(content, str):
        return content.replace(ASK, prompt)
    if isinstance(content, list):
        return [_filled(part, prompt) for part in content]
    if isinstance(content, dict):
        return {name: _filled(part, prompt) for name, part in content.items()}
    return content


def _rows(name: str) -> Iterator[Mapping[str, Any]]:
    with (FOLDER / name).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)

"""The texts of a request, kept apart by who wrote them: the views that are judged or compared one by one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router_model.features.ask import Ask, find_ask
from router_model.features.request import text_of, without_material
from router_model.features.unwrapping import LONGEST

_SYSTEM = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Views:
    """Each text is at most 65,537 characters long, both ends of what is longer; "" where a request has none.

    `history` is the conversation before the ask without what tools returned there; `results` are the tools' calls and
    results since the ask.
    """

    ask: Ask
    system: str
    history: str
    tools: str
    results: str


def views_of(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None) -> Views:
    """The views of a request in OpenAI form. Never raises on unusual content.

    What was retrieved for earlier questions is left out: its author must not influence the effort of later ones.
    """
    ask = find_ask(messages)
    kept = without_material(messages)
    # Only messages before the last user message are left out, so places count from the end.
    place = max(ask.place - len(messages) + len(kept), -1)
    before = [m for m in kept[: max(place, 0)] if m.get("role") not in _SYSTEM]
    since = [m for m in kept[place + 1 :] if m.get("role") not in _SYSTEM] if place >= 0 else []
    return Views(
        ask=ask,
        system=_ends(text_of(m) for m in kept if m.get("role") in _SYSTEM),
        history=_ends(map(text_of, before)),
        tools=_ends(map(_described, tools or ())),
        results=_ends(map(text_of, since)),
    )


def _described(tool: Any) -> str:
    """A tool's name and description; parameters vary with the client's code more than with the task."""
    function = tool.get("function", tool) if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping):
        return ""
    return json.dumps([_short(function.get("name")), _short(function.get("description"))])


def _short(value: Any) -> Any:
    return value[:LONGEST] if isinstance(value, str) else None


def _ends(texts: Iterable[str]) -> str:
    text = "\n".join(filter(None, texts))
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}\n{text[-LONGEST // 2 :]}"

"""The person's ask in a conversation: what is to be judged, told apart from all that surrounds it.

Clients wrap a person's words in reminders, environment blocks, manuals of tools and standing instructions. What is
asked is what is left of the person's last turn. A reply that only approves ("yes, go on") is judged by what it
approves.

Nobody gains by pretending: the text of an ask is always a part of what was sent as the user, wrappers add nothing to
it, and an approval counts no more than asking for the same thing outright.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router_model.features.approvals import approves
from router_model.features.phrases import wrapping
from router_model.features.unwrapping import LONGEST, Unwrapped, opens_with_instructions, shortened, unwrapped

# Of a proposal this many last characters count: the offer stands at its end.
_PROPOSAL = 2_000
# Earlier turns searched for the ask that an approval goes back to.
_TURNS = 8
# Pieces of one turn that are read, counted from the last.
_PIECES = 40
_SYSTEM = ("system", "developer")

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """`text`: the person's words. `context`: what they approve, their own earlier ask before the proposal, or "".

    `found_by`: "message", "element", "label", "rest" (as in Unwrapped), "approval", "whole" (all looked like a
    client's) or "nothing". `wrapping` and `material` hold what was taken out of the user's turn; `place` is the
    position of the turn's last message, -1 if there is none.
    """

    text: str
    found_by: str
    context: str = ""
    wrapping: str = ""
    material: str = ""
    place: int = -1

    @property
    def judged(self) -> str:
        """What effort is decided by."""
        return f"{self.context}\n{self.text}" if self.context else self.text


def find_ask(messages: Sequence[Message]) -> Ask:
    """The ask of a conversation in OpenAI form. Never raises on unusual content; the ask may be empty."""
    turns = _turns(messages)
    first = next(turns, None)
    if first is None:
        return Ask("", "nothing")
    place, pieces = first
    asked = _asked(pieces)
    proposal = _proposal(messages, place - len(pieces))
    if asked.by == "whole" or not approves(asked.text, proposal):
        return _ask(asked, asked.by, "", place)
    earlier = next((a.text for a in _earlier(turns, messages)), "")
    return _ask(asked, "approval", "\n".join(filter(None, (earlier, proposal))), place)


def _ask(asked: Unwrapped, by: str, context: str, place: int) -> Ask:
    wrapping, material = (shortened("\n".join(part)) for part in (asked.wrapping, asked.material))
    return Ask(asked.text, by if asked.text else "nothing", context, wrapping, material, place)


def _earlier(turns: Iterator[tuple[int, list[str]]], messages: Sequence[Message]) -> Iterator[Unwrapped]:
    """Earlier asks that are more than approvals, the latest first."""
    for _, (place, pieces) in zip(range(_TURNS), turns, strict=False):
        asked = _asked(pieces)
        if not approves(asked.text, _proposal(messages, place - len(pieces))):
            yield asked


def _turns(messages: Sequence[Message]) -> Iterator[tuple[int, list[str]]]:
    """The user's turns, the last first: the position of the last message, and the texts of its pieces in order.

    Reports of tools that a client sends as the user are no turns, unless there is no other.
    """
    at, reports = len(messages) - 1, None
    while at >= 0:
        if messages[at].get("role") != "user":
            at -= 1
            continue
        place = at
        pieces: list[str] = []
        while at >= 0 and messages[at].get("role") in ("user", *_SYSTEM):
            if messages[at].get("role") == "user":
                pieces[:0] = _pieces(messages[at])
            at -= 1
        if at >= 0 and all(map(_is_report, pieces)):
            reports = reports or (place, pieces)
        else:
            reports = None
            yield place, pieces[-_PIECES:]
    if reports:
        yield reports


def _pieces(message: Message) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return []
    texts = (part.get("text") if isinstance(part, Mapping) else part for part in content)
    return [text for text in texts if isinstance(text, str)]


def _is_report(piece: str) -> bool:
    start = piece[:40].lstrip()
    if start.startswith(wrapping().result_openings):
        return True
    if not start.startswith(("{", "[{")) or len(piece) > LONGEST:
        return False
    try:
        return isinstance(json.loads(piece), dict | list)
    except (ValueError, RecursionError):
        return False


def _asked(pieces: Sequence[str]) -> Unwrapped:
    """The words of a person in all pieces of a turn."""
    if len(pieces) == 1:
        found = unwrapped(pieces[0])
        return found if found.text else Unwrapped(shortened(pieces[0]).strip(), "whole")
    each = [
        Unwrapped("", "rest", (shortened(piece),))
        if i < len(pieces) - 1 and opens_with_instructions(piece)
        else unwrapped(piece)
        for i, piece in enumerate(pieces)
        if piece.strip()
    ]
    said = [found for found in each if found.text]
    if not said:
        return Unwrapped(shortened("\n".join(pieces)).strip(), "whole")
    by = "rest" if len(said) < len(each) and said[-1].by == "message" else said[-1].by
    wrapping, material = (tuple(t for f in each for t in part(f)) for part in (_wrapping, _material))
    return Unwrapped("\n".join(found.text for found in said), by, wrapping, material)


def _wrapping(found: Unwrapped) -> tuple[str, ...]:
    return found.wrapping


def _material(found: Unwrapped) -> tuple[str, ...]:
    return found.material


def _proposal(messages: Sequence[Message], before: int) -> str:
    """The end of the last assistant's text at or before a position."""
    for message in reversed(messages[: max(before, 0) + 1]):
        if message.get("role") == "assistant":
            text = "\n".join(_pieces(message)).strip()
            if text:
                return text[-_PROPOSAL:]
    return ""

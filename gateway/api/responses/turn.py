"""One turn of a conversation: what was asked, what was answered, and which turn was before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """`input` are the items of the request, each with an id; `response` is the answer's whole body.

    `previous` is the id of the response before, `root` of the first one of the conversation. `unit` is what
    experiments assign, None for a turn that was stored before there was one. `bytes` is how long the two are where they
    are kept; 0: they are not yet.
    """

    id: str
    root: str
    previous: str | None
    input: list[Item]
    response: dict[str, Any]
    unit: str | None = None
    bytes: int = field(default=0, compare=False)

    @property
    def items(self) -> list[Item]:
        """All of them, in the order of the conversation."""
        output: list[Item] = self.response["output"]
        return self.input + output

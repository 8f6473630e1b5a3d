"""One turn of a conversation: its input, its response, and a link to the previous turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """`input` are the items of the request, each with an id; `response` is the body of the answer.

    `previous` is the id of the previous response, `root` that of the first one of the conversation. `unit` is what
    experiments assign (None for a turn of an earlier release without units). `bytes` is the stored size of both; 0: not
    stored yet.
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
        """All items, in the order of the conversation."""
        output: list[Item] = self.response["output"]
        return self.input + output

"""What a client saw of an answer, without reasoning."""

from __future__ import annotations

from typing import NamedTuple


class CalledTool(NamedTuple):
    """`arguments` are as the model wrote them: JSON, if it kept to it."""

    id: str
    name: str
    arguments: str


class AnswerContent(NamedTuple):
    """The first choice of a complete answer; `finish_reason` is that of a chat completion."""

    text: str
    tool_calls: tuple[CalledTool, ...] = ()
    finish_reason: str | None = None

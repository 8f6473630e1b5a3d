"""What came by of an answer: how much of it was thought, and whether a thought was ended in the wrong place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson


class Seen:
    """Told every delta of a stream, or the messages of a whole answer. `pieces` are deltas with a thought in them, each
    a token at least; the rest is in characters. `mark` is what ends a thought: engines that keep a budget are known to
    force it into the arguments of a tool call.
    """

    __slots__ = ("answer", "mark", "marked", "mended", "pieces", "thought")

    def __init__(self, mark: str = "") -> None:
        self.mark = mark
        self.pieces = self.thought = self.answer = 0
        self.marked = self.mended = False

    def delta(self, delta: dict[str, Any]) -> None:
        thought = delta.get("reasoning") or delta.get("reasoning_content")
        if type(thought) is str:
            self.pieces += 1
            self.thought += len(thought)
            if len(delta) == 1:
                return
        content = delta.get("content")
        if type(content) is str:
            self.answer += len(content)
        if delta.get("tool_calls"):
            for function in _functions(delta):
                self._call(function["arguments"])

    def whole(self, body: dict[str, Any]) -> bool:
        """True: it had to be mended, and is another one now."""
        for choice in body["choices"]:
            message = choice.get("message") if isinstance(choice, dict) else None
            if isinstance(message, dict):
                self.delta(message)
                for function in _functions(message) if self.marked else ():
                    self._mend(function)
        return self.mended

    def _call(self, arguments: str) -> None:
        self.answer += len(arguments)
        if self.mark and self.mark in arguments:
            self.marked = True

    def _mend(self, function: dict[str, Any]) -> None:
        """Take the mark out of what is no JSON with it, and is without. Inside a string it might be meant."""
        arguments = function["arguments"]
        mended = arguments.replace(self.mark, "")
        if mended != arguments and not _is_json(arguments) and _is_json(mended):
            function["arguments"] = mended
            self.mended = True


def _functions(message: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """The functions called, with arguments that are text as they should be."""
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            yield function


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True

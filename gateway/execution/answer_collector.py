"""Keeps the text of an answer while it passes, for verifiers; nothing is kept where there are none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.core.answer import AnswerContent, CalledTool
from gateway.execution.streaming.encoder import EventSink
from gateway.verification.protocol import VerifierSettings

# In characters, names and arguments of tool calls included. A longer answer is not verified.
MOST_CHARACTERS = 262_144
MOST_CALLS = 1000


class AnswerCollector:
    """Of the first choice; not its reasoning. `verifiers` are those that will score it."""

    def __init__(self, verifiers: Sequence[VerifierSettings]) -> None:
        self.verifiers = verifiers
        self._texts: list[str] = []
        # For each call: its id, its name, and the pieces of its arguments.
        self._calls: dict[int, tuple[str, str, list[str]]] = {}
        self._left = MOST_CHARACTERS

    @property
    def is_too_long(self) -> bool:
        return self._left < 0

    def answer(self, finish_reason: str | None) -> AnswerContent:
        calls = tuple(CalledTool(id, name, "".join(arguments)) for id, name, arguments in self._calls.values())
        return AnswerContent("".join(self._texts), calls, finish_reason)

    def whole(self, body: dict[str, Any]) -> None:
        """A whole chat completion."""
        self._choices(body, "message")

    def chunk(self, chunk: dict[str, Any]) -> None:
        """One event of a stream."""
        self._choices(chunk, "delta")

    def _choices(self, body: dict[str, Any], name: str) -> None:
        choices = body.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            message = choice.get(name) if isinstance(choice, dict) and choice.get("index", 0) == 0 else None
            if isinstance(message, dict) and not self.is_too_long:
                self._message(message)

    def _message(self, message: dict[str, Any]) -> None:
        for text in (*_texts(message.get("content")), *_texts(message.get("refusal"))):
            self._texts.append(self._counted(text))
        calls = message.get("tool_calls")
        for place, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict) and isinstance(function := call.get("function") or call.get("custom"), dict):
                self._call(call, function, place)
        if self.is_too_long:
            self._texts, self._calls = [], {}

    def _call(self, call: dict[str, Any], function: dict[str, Any], place: int) -> None:
        index = call.get("index", place)
        if type(index) is not int or len(self._calls) >= MOST_CALLS:
            return
        id, name, arguments = self._calls.get(index, ("", "", []))
        given, called, more = call.get("id"), function.get("name"), function.get("arguments")
        id = self._counted(given) if isinstance(given, str) and given else id
        name = self._counted(called) if isinstance(called, str) and called else name
        if isinstance(more, str):
            arguments.append(self._counted(more))
        self._calls[index] = id, name, arguments

    def _counted(self, text: str) -> str:
        self._left -= len(text)
        return text


class CollectingSink:
    """Wraps a sink, and collects what passes."""

    def __init__(self, sink: EventSink, collector: AnswerCollector) -> None:
        self._sink = sink
        self._collector = collector

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        self._collector.chunk(chunk)
        return self._sink.event(chunk, event)


def _texts(content: Any) -> Iterable[str]:
    """The texts of a message, which may be one or parts."""
    if isinstance(content, str):
        return (content,)
    parts = content if isinstance(content, list) else ()
    return (part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))

"""Aggregates a stream into the whole chat completion, for clients that did not request a stream."""

from __future__ import annotations

from typing import Any

from gateway.core.aliases import JsonObject
from gateway.core.backend_errors import BackendFailed
from gateway.core.reasoning import REASONING_FIELDS
from gateway.execution.enforcement.parts import choices_of

# Fields whose pieces are concatenated; of any other field of a delta, the last value counts.
_TEXTS = ("content", *REASONING_FIELDS, "refusal")


class _ChoiceParts:
    def __init__(self) -> None:
        self.rest: dict[str, Any] = {"finish_reason": None}
        self.message: dict[str, Any] = {"role": "assistant", "content": None}
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._arguments: dict[int, list[str]] = {}
        self._logprobs: dict[str, list[Any]] = {}
        self._ids: list[int] = []

    def add(self, choice: JsonObject) -> None:
        for name, value in choice.items():
            if name == "delta":
                self._delta(value)
            elif name == "logprobs" and isinstance(value, dict):
                for kind, entries in value.items():
                    self._logprobs.setdefault(kind, []).extend(entries or ())
            elif name == "token_ids":
                self._ids += value or ()
            elif value is not None:
                self.rest[name] = value

    def _delta(self, delta: Any) -> None:
        for name, value in delta.items() if isinstance(delta, dict) else ():
            if name in _TEXTS and isinstance(value, str):
                self._texts.setdefault(name, []).append(value)
            elif name == "tool_calls":
                for call in value or ():
                    self._call(call)
            elif value is not None:
                self.message[name] = value

    def _call(self, call: JsonObject) -> None:
        index = call.get("index", 0)
        merged = self._calls.setdefault(index, {"type": "function", "function": {"arguments": ""}})
        merged |= {name: value for name, value in call.items() if name not in ("index", "function") and value}
        function = call.get("function") or {}
        arguments = function.get("arguments") or ""
        if not isinstance(arguments, str):
            raise TypeError("arguments must be a string")
        self._arguments.setdefault(index, []).append(arguments)
        if function.get("name"):
            merged["function"]["name"] = function["name"]

    def aggregated(self, index: int) -> JsonObject:
        # The first delta may have an empty text beside the role.
        message = self.message | {name: "".join(texts) or None for name, texts in self._texts.items()}
        if self._calls:
            for number, pieces in self._arguments.items():
                self._calls[number]["function"]["arguments"] = "".join(pieces)
            message["tool_calls"] = [self._calls[number] for number in sorted(self._calls)]
        ids = {"token_ids": self._ids} if self._ids else {}
        return {"index": index, "message": message, "logprobs": self._logprobs or None, **self.rest, **ids}


class StreamAggregator:
    """The sink for the events of one stream."""

    def __init__(self) -> None:
        self._choices: dict[int, _ChoiceParts] = {}
        self._rest: dict[str, Any] = {}

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        self._rest |= {name: value for name, value in chunk.items() if name != "choices" and value is not None}
        for choice in choices_of(chunk):
            try:
                self._choices.setdefault(choice.get("index", 0), _ChoiceParts()).add(choice)
            except (AttributeError, KeyError, TypeError) as error:
                raise BackendFailed("The backend sent an event that is not a chat completion.") from error
        return b""

    def body(self) -> dict[str, Any]:
        choices = [self._choices[index].aggregated(index) for index in sorted(self._choices)]
        return {**self._rest, "object": "chat.completion", "choices": choices}

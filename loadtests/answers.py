"""Reads answers of the chat API, plain and streamed, into one form."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


class Broken(Exception):
    """A 200 that is not a whole answer: an error inside a stream, a stream without its end, no usage."""


@dataclass(slots=True)
class Answer:
    """What came back. Times are in seconds since the request was sent; None where nothing of the kind came."""

    content: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    thinking_tokens: int = 0
    completion_tokens: int = 0
    first_token_s: float | None = None
    first_answer_s: float | None = None
    last_token_s: float | None = None
    longest_gap_s: float | None = None

    @property
    def token_gap_s(self) -> float | None:
        """Seconds between tokens on average, by the engine's count of them; None for fewer than two, or no stream."""
        if self.first_token_s is None or self.last_token_s is None or self.completion_tokens < 2:
            return None
        return (self.last_token_s - self.first_token_s) / (self.completion_tokens - 1)

    @property
    def message(self) -> dict[str, Any]:
        """As it goes into the history of a conversation."""
        calls = [{"id": f"call_{i + 1}", "type": "function", **call} for i, call in enumerate(self.tool_calls)]
        return {"role": "assistant", "content": self.content, **({"tool_calls": calls} if calls else {})}


def from_body(body: bytes) -> Answer:
    """A plain answer."""
    parsed = json.loads(body)
    message = parsed["choices"][0]["message"]
    answer = Answer(message.get("content") or "", message.get("tool_calls") or [])
    _count(answer, parsed.get("usage"))
    return answer


def from_events(events: Iterable[tuple[float, bytes]]) -> Answer:
    """A streamed answer, from server-sent events with the time at which each arrived."""
    answer = Answer()
    for seconds, event in events:
        data = event.decode().strip().removeprefix("data:").strip()
        if data == "[DONE]":
            return answer
        chunk = json.loads(data)
        if "error" in chunk:
            raise Broken(f"error inside the stream: {chunk['error'].get('message')}")
        for choice in chunk["choices"]:
            _add(answer, choice["delta"], seconds)
        if chunk.get("usage"):
            _count(answer, chunk["usage"])
    raise Broken("the stream ended without [DONE]")


def _add(answer: Answer, delta: dict[str, Any], seconds: float) -> None:
    content = delta.get("content") or delta.get("tool_calls")
    if content or delta.get("reasoning"):
        if answer.first_token_s is None:
            answer.first_token_s = seconds
        else:
            answer.longest_gap_s = max(answer.longest_gap_s or 0.0, seconds - (answer.last_token_s or 0.0))
        answer.last_token_s = seconds
    if answer.first_answer_s is None and content:
        answer.first_answer_s = seconds
    answer.content += delta.get("content") or ""
    for part in delta.get("tool_calls") or ():
        _add_call(answer.tool_calls, part)


def _add_call(calls: list[dict[str, Any]], part: dict[str, Any]) -> None:
    while len(calls) <= part["index"]:
        calls.append({"function": {"name": "", "arguments": ""}})
    for key, text in part.get("function", {}).items():
        calls[part["index"]]["function"][key] += text or ""


def _count(answer: Answer, usage: dict[str, Any] | None) -> None:
    if not usage:
        raise Broken("the answer has no usage")
    answer.completion_tokens = usage["completion_tokens"]
    answer.thinking_tokens = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0

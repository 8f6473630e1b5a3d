"""Applies stop sequences to the answer alone: vLLM and SGLang also stop where the reasoning contains one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from gateway.backends.http_reply import HttpReply
from gateway.core.aliases import JsonObject
from gateway.core.call import Call
from gateway.core.plan import Plan
from gateway.core.reasoning import REASONING_FIELDS
from gateway.execution.enforcement.parts import event_of, text_of
from gateway.execution.enforcement.stop_text import StopSequences
from gateway.execution.enforcement.transformed_reply import TransformedReply, usage_after_stop
from gateway.execution.streaming.chat_stream import DONE

# The most that any engine accepts which applies them to reasoning.
MOST_STOPS = 4
_NOT_CONTENT = (*REASONING_FIELDS, "tool_calls")


def enforced_stops(plan: Plan, call: Call) -> Sequence[str]:
    """The stop sequences to apply here: of a call that thinks, or more of them than the engine accepts."""
    stops = plan.body.get("stop") if call.stops_answer else None
    if not isinstance(stops, list) or plan.applied is None or not plan.deployment.family.host.stops_in_thoughts:
        return ()
    return stops if plan.applied.think or len(stops) > MOST_STOPS else ()


class StoppedAnswer(TransformedReply):
    """An answer of one choice that ends at the first stop sequence in its text; the backend is then hung up on."""

    def __init__(self, reply: HttpReply, plan: Plan, stops: Sequence[str]) -> None:
        """`reply` is a stream that was requested without `stops`, and reports its usage with every chunk."""
        super().__init__(reply, plan)
        self._stops = stops

    async def chunks(self) -> AsyncGenerator[bytes]:
        sink = _StopSink(self._stops)
        async for events in self._read_events(sink):
            yield events
        for event in usage_after_stop(sink):
            yield event
        yield DONE


class _StopSink:
    def __init__(self, stops: Sequence[str]) -> None:
        self._text = StopSequences(stops)
        self.head: JsonObject = {}
        self.usage: JsonObject | None = None

    @property
    def enough(self) -> bool:
        return self._text.met is not None

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        self.head = chunk
        if isinstance(chunk.get("usage"), dict):
            self.usage = chunk["usage"]
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return event_of(chunk)
        # The gateway requested running usage, not the client.
        chunk.pop("usage", None)
        delta = choice.get("delta")
        text = text_of(delta, "content")
        shown = self._text.push(text) if text else ""
        if self.enough:
            ended = {"index": 0, "delta": {"content": shown}, "finish_reason": "stop", "stop_reason": self._text.met}
            return event_of({**chunk, "choices": [ended]})
        if not isinstance(delta, dict):
            delta = choice["delta"] = {}
        if choice.get("finish_reason") or any(map(delta.get, _NOT_CONTENT)):
            shown += self._text.finish()
        if shown or text:
            delta["content"] = shown
        return event_of(chunk)

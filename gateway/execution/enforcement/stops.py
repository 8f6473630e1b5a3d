"""Stop sequences for the answer alone: vLLM and SGLang look for them in the thought as well, and end there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from gateway.backends.http_reply import HttpReply
from gateway.core.aliases import JsonObject
from gateway.core.call import Call
from gateway.core.plan import Plan
from gateway.core.reasoning import REASONING_FIELDS
from gateway.execution.enforcement.parts import chunk_like, event_of, text_of
from gateway.execution.enforcement.stop_text import StopSequences
from gateway.execution.enforcement.transformed_reply import TransformedReply
from gateway.execution.streaming.chat_stream import DONE

# No engine that looks for them in thoughts takes more.
MOST_STOPS = 4
_BESIDES = (*REASONING_FIELDS, "tool_calls")


def stops_to_keep(plan: Plan, call: Call) -> Sequence[str]:
    """Those of a call that thinks first, or that are too many; none, where the backend may look for them itself."""
    stops = plan.body.get("stop") if call.stops_answer else None
    if not isinstance(stops, list) or plan.applied is None or not plan.deployment.family.host.stops_in_thoughts:
        return ()
    return stops if plan.applied.think or len(stops) > MOST_STOPS else ()


class StoppedAnswer(TransformedReply):
    """An answer of one choice, which ends where its text meets a stop sequence; the backend is hung up on."""

    def __init__(self, reply: HttpReply, plan: Plan, stops: Sequence[str]) -> None:
        """`reply` streams, without being told of `stops`, and tells its usage with every piece."""
        super().__init__(reply, plan)
        self._stops = stops

    async def chunks(self) -> AsyncGenerator[bytes]:
        listener = _StopSink(self._stops)
        async for events in self._read_events(listener):
            yield events
        if listener.enough and listener.usage is not None:
            yield event_of(chunk_like(listener.head, [], usage=listener.usage))
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
        # Usage with every piece was asked for here.
        chunk.pop("usage", None)
        delta = choice.get("delta")
        said = text_of(delta, "content")
        shown = self._text.push(said) if said else ""
        if self.enough:
            ended = {"index": 0, "delta": {"content": shown}, "finish_reason": "stop", "stop_reason": self._text.met}
            return event_of({**chunk, "choices": [ended]})
        if not isinstance(delta, dict):
            delta = choice["delta"] = {}
        if choice.get("finish_reason") or any(map(delta.get, _BESIDES)):
            shown += self._text.finish()
        if shown or said:
            delta["content"] = shown
        return event_of(chunk)

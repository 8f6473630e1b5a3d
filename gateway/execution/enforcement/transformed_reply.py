"""A reply that the gateway makes out of a backend's stream, event by event."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Protocol

from gateway.backends.chat_answer import dumped
from gateway.backends.http_reply import HttpReply
from gateway.backends.reply import EnforcedBudget
from gateway.core.aliases import JsonObject
from gateway.core.backend_errors import AnswerTooLarge
from gateway.core.deployment import Deployment
from gateway.core.plan import Plan
from gateway.execution.enforcement.aggregator import StreamAggregator
from gateway.execution.enforcement.parts import chunk_like, event_of
from gateway.execution.streaming.chat_stream import ChatStream
from gateway.execution.streaming.encoder import EventSink


class StoppingSink(EventSink, Protocol):
    @property
    def enough(self) -> bool:
        """Whether the rest of the answer is not needed."""
        ...


class CountingSink(StoppingSink, Protocol):
    """`head` is the latest chunk of the answer."""

    head: JsonObject

    @property
    def usage(self) -> JsonObject | None:
        """The usage so far; None if it is unknown."""
        ...


def usage_after_stop(sink: CountingSink) -> Iterator[bytes]:
    """The event with the usage of an answer whose backend was hung up on before it could report any."""
    if sink.enough and sink.usage is not None:
        yield event_of(chunk_like(sink.head, [], usage=sink.usage))


async def aggregated(stream: AsyncGenerator[bytes], deployment: Deployment) -> bytes:
    """The whole answer from a deployment's stream. GatewayError: it ends in an error, or is too large."""
    aggregator, size = StreamAggregator(), 0
    events = ChatStream(aggregator, deployment.response_limits.max_event_bytes)
    async with aclosing(stream) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            if size > deployment.response_limits.max_answer_bytes:
                raise AnswerTooLarge(f"The answer of the backend {deployment.name} is too large.")
            events.feed(chunk)
    events.finish()
    return dumped(aggregator.body())


class TransformedReply(ABC):
    """`reply` is the backend's answer that is being read now."""

    enforced: EnforcedBudget | None = None

    def __init__(self, reply: HttpReply, plan: Plan) -> None:
        self._reply = reply
        self._own_id = reply.own_id
        self._plan = plan
        self._rest: AsyncIterator[bytes] | None = None

    @property
    def own_id(self) -> str | None:
        return self._own_id

    async def read(self) -> bytes:
        """The whole answer, for clients that requested no stream."""
        return await aggregated(self.chunks(), self._plan.deployment)

    @abstractmethod
    def chunks(self) -> AsyncGenerator[bytes]:
        """The stream of chat completion chunks for the client."""

    async def drain(self, chunks: AsyncIterator[bytes]) -> None:
        if self._rest is not None:
            await self._reply.drain(self._rest)

    def close(self) -> None:
        self._reply.close()

    async def _read_events(self, sink: StoppingSink) -> AsyncGenerator[bytes]:
        """The events that the sink makes of the backend's answer, without the end mark. The backend is hung up on once
        the sink has enough. GatewayError: the answer ends in an error.
        """
        stream = ChatStream(sink, self._plan.deployment.response_limits.max_event_bytes)
        chunks = self._reply.chunks()
        async for chunk in chunks:
            events = stream.feed(chunk)
            if events:
                yield events
            if sink.enough:
                self._reply.enough()
                return
            if stream.ended:
                break
        stream.finish()
        self._rest = chunks

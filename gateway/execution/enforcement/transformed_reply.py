"""A reply that is made here out of what a backend streams, event by event."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Protocol

from gateway.backends.chat_answer import dumped
from gateway.backends.http_reply import HttpReply
from gateway.backends.reply import EnforcedBudget
from gateway.core.backend_errors import AnswerTooLarge
from gateway.core.deployment import Deployment
from gateway.core.plan import Plan
from gateway.execution.enforcement.aggregator import StreamAggregator
from gateway.execution.streaming.chat_stream import ChatStream
from gateway.execution.streaming.encoder import EventSink


class StoppingSink(EventSink, Protocol):
    @property
    def enough(self) -> bool:
        """Whether no more of the answer is wanted."""
        ...


async def joined(stream: AsyncGenerator[bytes], deployment: Deployment) -> bytes:
    """The whole answer out of a deployment's stream of it. GatewayError: it ends in an error, or is too large."""
    whole, size = StreamAggregator(), 0
    heard = ChatStream(whole, deployment.response_limits.max_event_bytes)
    async with aclosing(stream) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            if size > deployment.response_limits.max_answer_bytes:
                raise AnswerTooLarge(f"The answer of the backend {deployment.name} is too large.")
            heard.feed(chunk)
    heard.finish()
    return dumped(whole.body())


class TransformedReply(ABC):
    """`reply` is the backend's answer that is under way now."""

    kept: EnforcedBudget | None = None

    def __init__(self, reply: HttpReply, plan: Plan) -> None:
        self._reply = reply
        self._own_id = reply.own_id
        self._plan = plan
        self._rest: AsyncIterator[bytes] | None = None

    @property
    def own_id(self) -> str | None:
        return self._own_id

    async def read(self) -> bytes:
        """The whole answer, for clients that asked for no stream."""
        return await joined(self.chunks(), self._plan.deployment)

    @abstractmethod
    def chunks(self) -> AsyncGenerator[bytes]:
        """The stream that the client gets, in the form of a chat."""

    async def drain(self, chunks: AsyncIterator[bytes]) -> None:
        if self._rest is not None:
            await self._reply.drain(self._rest)

    def close(self) -> None:
        self._reply.close()

    async def _read_events(self, listener: StoppingSink) -> AsyncGenerator[bytes]:
        """What the backend's answer becomes, but for its end mark. It is hung up on once the listener has enough.

        GatewayError: it ends in an error.
        """
        stream = ChatStream(listener, self._plan.deployment.response_limits.max_event_bytes)
        chunks = self._reply.chunks()
        async for chunk in chunks:
            events = stream.feed(chunk)
            if events:
                yield events
            if listener.enough:
                self._reply.enough()
                return
            if stream.ended:
                break
        stream.finish()
        self._rest = chunks

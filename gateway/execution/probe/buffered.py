"""The reply to a probe, buffered until the decision; an accepted one is then passed on like any other reply.

Its log-probabilities are removed, unless the client requested them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Protocol

from gateway.backends.chat_answer import dumped, read_answer
from gateway.backends.reply import EnforcedBudget, Reply
from gateway.core.plan import Plan
from gateway.core.usage import Usage
from gateway.execution.enforcement.parts import event_of
from gateway.execution.enforcement.transformed_reply import aggregated
from gateway.execution.streaming import logprobs
from gateway.execution.streaming.chat_stream import DONE, ChatStream
from gateway.execution.streaming.logprobs import Logprobs

# Whether the log-probabilities received so far suffice to decide before the end of the probe.
Enough = Callable[[Logprobs], bool]


class BufferedReply(Reply, Protocol):
    @property
    def logprobs(self) -> Logprobs: ...
    @property
    def usage(self) -> Usage:
        """The usage so far."""
        ...

    @property
    def finish_reason(self) -> str | None: ...
    @property
    def first_token(self) -> float | None:
        """When it arrived, by the monotonic clock; None if the reply is not a stream."""
        ...

    async def buffer(self, enough: Enough) -> None:
        """Read until there is enough, or to the end. GatewayError: the reply ends in an error."""
        ...

    async def drop(self) -> None:
        """Discard the reply. A backend that is still writing is hung up on."""
        ...


class BufferedAnswer:
    """An answer that is not streamed, and can be judged at its end only."""

    def __init__(self, reply: Reply, shows: bool) -> None:
        """`shows`: the client requested log-probabilities."""
        self.enforced: EnforcedBudget | None = reply.enforced
        self.logprobs = Logprobs()
        self.usage = Usage()
        self.finish_reason: str | None = None
        self.first_token: float | None = None
        self._reply = reply
        self._shows = shows
        self._raw = b""
        self._body: dict[str, Any] = {}

    @property
    def own_id(self) -> str | None:
        return self._reply.own_id

    async def buffer(self, enough: Enough) -> None:
        self._raw = await self._reply.read()
        self._body, self.usage, self.finish_reason = read_answer(self._raw)
        for choice in self._choices():
            self.logprobs.add(choice)

    async def read(self) -> bytes:
        if self._shows:
            return self._raw
        for choice in self._choices():
            logprobs.without(choice)
        return dumped(self._body)

    async def chunks(self) -> AsyncGenerator[bytes]:
        raise AssertionError("this answer is not a stream")
        yield b""

    async def drain(self, chunks: AsyncIterator[bytes]) -> None:
        pass

    async def drop(self) -> None:
        self.close()

    def close(self) -> None:
        self._reply.close()

    def _choices(self) -> list[dict[str, Any]]:
        return [choice for choice in self._body["choices"] if isinstance(choice, dict)]


class BufferedStream:
    """A stream: the buffered events come first, then the rest as it arrives."""

    def __init__(self, reply: Reply, shows: bool, plan: Plan) -> None:
        """`shows`: the client requested log-probabilities."""
        self.enforced: EnforcedBudget | None = reply.enforced
        self.logprobs = Logprobs()
        self._reply = reply
        self._plan = plan
        self._chunks = reply.chunks()
        self._stream = ChatStream(LogprobSink(self.logprobs, shows), plan.deployment.response_limits.max_event_bytes)
        self._held: list[bytes] = []

    @property
    def own_id(self) -> str | None:
        return self._reply.own_id

    @property
    def usage(self) -> Usage:
        return self._stream.usage

    @property
    def finish_reason(self) -> str | None:
        return self._stream.finish_reason

    @property
    def first_token(self) -> float | None:
        return self._stream.first_token

    async def buffer(self, enough: Enough) -> None:
        async for chunk in self._chunks:
            self._held.append(self._stream.feed(chunk))
            if enough(self.logprobs):
                return
            if self._stream.ended:
                break
        self._stream.finish()

    async def read(self) -> bytes:
        """The whole answer, for a client that requested no stream."""
        return await aggregated(self.chunks(), self._plan.deployment)

    async def chunks(self) -> AsyncGenerator[bytes]:
        yield b"".join(self._held)
        self._held.clear()
        if not self._stream.ended:
            async for chunk in self._chunks:
                events = self._stream.feed(chunk)
                if events:
                    yield events
                if self._stream.ended:
                    break
        self._stream.finish()
        yield DONE

    async def drain(self, chunks: AsyncIterator[bytes]) -> None:
        await self._reply.drain(self._chunks)

    async def drop(self) -> None:
        try:
            if self._stream.ended:
                await self._reply.drain(self._chunks)
        finally:
            self.close()

    def close(self) -> None:
        self._reply.close()


class LogprobSink:
    """Collects log-probabilities, and removes them unless `shows`."""

    def __init__(self, collected: Logprobs, shows: bool) -> None:
        self._collected = collected
        self._shows = shows

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return event
        self._collected.add(choice)
        if self._shows or choice.get("logprobs") is None:
            return event
        # A chunk that held nothing but log-probabilities is dropped.
        return event_of(chunk) if logprobs.without(choice) or chunk.get("usage") else b""

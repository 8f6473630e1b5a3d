"""The reply to a probe, held back until its decision. If it convinces, it is the reply like any other.

Its log-probabilities stay here, unless the client asked for them itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Protocol

from gateway.backends.chat_answer import dumped, read_answer
from gateway.backends.reply import EnforcedBudget, Reply
from gateway.core.plan import Plan
from gateway.core.usage import Usage
from gateway.execution.enforcement.parts import event_of
from gateway.execution.enforcement.transformed_reply import joined
from gateway.execution.streaming import logprobs
from gateway.execution.streaming.chat_stream import DONE, ChatStream
from gateway.execution.streaming.logprobs import Logprobs

# Given what has arrived of a probe so far: whether it can be decided now, before its end.
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
        """When it came, of a stream, by the monotonic clock."""
        ...

    async def listen(self, enough: Enough) -> None:
        """Hold it back until there is enough of it, or all. GatewayError: it ends in an error."""
        ...

    async def drop(self) -> None:
        """It did not convince. A backend that is still at it is hung up on."""
        ...


class BufferedAnswer:
    """A plain answer, which can be decided at its end only."""

    def __init__(self, reply: Reply, shows: bool) -> None:
        """`shows`: the client asked for log-probabilities itself."""
        self.kept: EnforcedBudget | None = reply.kept
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

    async def listen(self, enough: Enough) -> None:
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
        raise AssertionError("it is no stream")
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
    """A stream: what was held back comes first, then the rest as it comes."""

    def __init__(self, reply: Reply, shows: bool, plan: Plan) -> None:
        """`shows`: the client asked for log-probabilities itself."""
        self.kept: EnforcedBudget | None = reply.kept
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

    async def listen(self, enough: Enough) -> None:
        async for chunk in self._chunks:
            self._held.append(self._stream.feed(chunk))
            if enough(self.logprobs):
                return
            if self._stream.ended:
                break
        self._stream.finish()

    async def read(self) -> bytes:
        """The whole answer, for a client that asked for no stream."""
        return await joined(self.chunks(), self._plan.deployment)

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
    def __init__(self, heard: Logprobs, shows: bool) -> None:
        self._heard = heard
        self._shows = shows

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return event
        self._heard.add(choice)
        if self._shows or choice.get("logprobs") is None:
            return event
        # A token without text of its own is no event where nobody asks for its probability.
        return event_of(chunk) if logprobs.without(choice) or chunk.get("usage") else b""

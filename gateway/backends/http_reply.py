"""A backend's answer, read whole or as it arrives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp

from gateway.backends import failures
from gateway.backends.attempt import Attempt
from gateway.backends.deadline import Deadline
from gateway.backends.reply import EnforcedBudget
from gateway.core.backend_errors import (
    AnswerTooLarge,
    BackendTimeout,
    StreamCut,
)
from gateway.core.deployment import Deployment

DRAIN_S = 0.2


class HttpReply:
    """A backend's answer with status 200. Must be closed; closing before the end hangs up on the backend."""

    enforced: EnforcedBudget | None = None

    def __init__(
        self, response: aiohttp.ClientResponse, deployment: Deployment, attempt: Attempt, deadline: Deadline
    ) -> None:
        self._response = response
        self._deployment = deployment
        self._attempt = attempt
        self._deadline = deadline

    @property
    def own_id(self) -> str | None:
        """The backend's own id for the request."""
        return failures.own_id(self._response)

    @property
    def url(self) -> str:
        """The base URL of the replica that answers."""
        return self._attempt.url

    async def read(self) -> bytes:
        """The whole body. BackendFailed: it breaks off, stalls, or exceeds the size limit."""
        content, limit = self._response.content, self._deployment.response_limits.max_answer_bytes
        parts: list[bytes] = []
        size = 0
        try:
            while part := await content.readany():
                size += len(part)
                if size > limit:
                    raise AnswerTooLarge(f"The answer of the backend {self._deployment.name} is too large.")
                parts.append(part)
        except (aiohttp.ClientError, TimeoutError) as error:
            self._attempt.failed()
            raise failures.failure(error, self._deployment) from error
        self._attempt.succeeded()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Bytes as they arrive. StreamCut or BackendTimeout if they stop before the end."""
        content = self._response.content
        try:
            async with asyncio.timeout(self._deadline.first_left_s()):
                first = await content.readany()
            self._attempt.answering()
            if first:
                yield first
            async for chunk in content.iter_any():
                yield chunk
            self._attempt.succeeded()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._attempt.failed()
            raise failures.cut(error, self._deployment) from error

    async def drain(self, chunks: AsyncIterator[bytes]) -> None:
        """Briefly read what follows the answer's end, so that the connection can be reused."""
        with contextlib.suppress(StreamCut, BackendTimeout, TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                async for _ in chunks:
                    pass

    def enough(self) -> None:
        """Stop reading, and count the answer as a success: the rest is not needed."""
        self._attempt.succeeded()
        self.close()

    def close(self) -> None:
        """Return the connection to the pool if the body was read to its end; else drop it."""
        self._deadline.off()
        self._attempt.end()
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()

"""The deadline of an answer: one timer, from the first attempt to the last byte."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

import aiohttp

from gateway.core.backend_errors import BackendTimeout
from gateway.core.deployment import Deployment


class Deadline:
    """A context manager around waiting for the status: BackendTimeout if it does not arrive in time. After that,
    reading the body raises TimeoutError. Call `off` at the end.

    aiohttp's own time limits cost more per chunk.
    """

    __slots__ = ("_due", "_first_due", "_name", "_response", "_rung", "_task", "_timer", "_waiting")

    def __init__(self, deployment: Deployment, spent_s: float, stream: bool) -> None:
        """`spent_s`: how much of the time for the whole answer is already spent."""
        now = time.monotonic()
        first_s = deployment.timeouts.first_token_timeout_s if stream else None
        self._name = deployment.name
        self._due = now + deployment.timeouts.total_timeout_s - spent_s
        self._first_due = None if first_s is None else now + first_s
        self._task = asyncio.current_task()
        self._response: aiohttp.ClientResponse | None = None
        self._waiting = self._rung = False
        self._set(self._due if self._first_due is None else min(self._due, self._first_due))

    async def __aenter__(self) -> None:
        if self._rung:
            raise self._too_late()
        self._waiting = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._waiting = False
        # If there are further cancellations, the client disconnected at the same moment.
        if self._rung and kind is asyncio.CancelledError and self._task is not None and self._task.uncancel() == 0:
            raise self._too_late() from error

    def answered(self, response: aiohttp.ClientResponse) -> None:
        """The status was 200; from now on the deadline is for the body."""
        self._response = response
        if self._first_due is not None:
            self._timer.cancel()
            self._set(self._due)

    def first_left_s(self) -> float | None:
        """Seconds left for the first chunk of a stream; None: the same limit as for other chunks."""
        return None if self._first_due is None else max(self._first_due - time.monotonic(), 0.0)

    def off(self) -> None:
        self._timer.cancel()

    def _set(self, at: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(max(at - time.monotonic(), 0.0), self._ring)

    def _ring(self) -> None:
        self._rung = True
        if self._response is not None:
            self._response.content.set_exception(TimeoutError())
        elif self._waiting and self._task is not None:
            self._task.cancel()

    def _too_late(self) -> BackendTimeout:
        return BackendTimeout(f"The backend {self._name} did not answer in time.")

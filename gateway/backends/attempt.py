"""One request at one replica, and what the replica learns from it."""

from __future__ import annotations

from collections.abc import Callable

from gateway.backends import failures
from gateway.backends.evidence import client_of
from gateway.backends.replicas import Replica, Replicas
from gateway.core.backend_errors import (
    BackendRefused,
    BackendTimeout,
    BackendUnreachable,
)
from gateway.core.call import Call
from gateway.core.errors import GatewayError


class Attempt:
    """One request to one replica, from sending to release."""

    def __init__(
        self, replicas: Replicas, replica: Replica, tokens: float, call: Call, answers_again: Callable[[], None]
    ) -> None:
        """`answers_again` is called after the first complete answer following an open circuit."""
        self._replicas = replicas
        self._answers_again = answers_again
        self._replica = replica
        self._call = call
        self._tokens = tokens
        self._ended = False
        self._probe = replica.began(tokens)
        self.url = replica.url

    def refused(self, error: GatewayError) -> None:
        """Note a status other than 200. A client error does not count against the replica."""
        if isinstance(error, BackendTimeout):
            self.failed()
        if not failures.is_retryable(error):
            return
        if isinstance(error, BackendRefused) and error.wait_s is not None:
            self._replica.busy(error.wait_s, self._replicas.clock(), self._call.key)
        elif isinstance(error, BackendUnreachable):
            self._replica.failed(self._replicas.clock())  # a request cannot cause this
        elif error.status != failures.TOO_MANY:
            self.failed()

    def answering(self) -> None:
        if self._probe:
            self._replica.answering()

    def succeeded(self) -> None:
        self._replica.succeeded(client_of(self._call) if self._replica.suspected else None)
        if self._probe:
            self._answers_again()

    def failed(self) -> None:
        self._replica.failed(self._replicas.clock(), client_of(self._call))

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._replica.ended(self._tokens, self._probe)

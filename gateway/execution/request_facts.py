"""The facts of a request that are known before its body is read."""

from __future__ import annotations

from typing import NamedTuple

from gateway.auth.principal import Principal


class RequestFacts(NamedTuple):
    """`id` is the gateway's own, `request_id` the one that the client sees. `at` is by the wall clock, `started` by the
    monotonic clock, in seconds. `paired_with` is the id of the client's request that this one answers again.
    """

    id: str
    request_id: str
    dialect: str
    principal: Principal
    at: float
    started: float
    paired_with: str | None = None

    @property
    def backend_id(self) -> str:
        """The id to send to backends. Where keys are required it is unique, and begins with the client's id: engines
        confuse requests with the same id, and no key may abort the request of another.
        """
        if self.principal.key is None or self.request_id.endswith(self.id):
            return self.request_id
        return f"{self.request_id}-{self.id}"

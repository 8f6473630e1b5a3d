"""What is known of a request before its body is read."""

from __future__ import annotations

from typing import NamedTuple

from gateway.auth.principal import Principal


class RequestFacts(NamedTuple):
    """`id` is the gateway's own, `request_id` the one that the client sees. `at` is a time of the wall clock, `started`
    one of the monotonic clock, in seconds.
    """

    id: str
    request_id: str
    dialect: str
    principal: Principal
    at: float
    started: float

    @property
    def backend_id(self) -> str:
        """The id at backends. Where keys are required it is unique, and begins with the client's own: engines mix up
        requests of one id, and no key may name, or abort, another's request.
        """
        if self.principal.key is None or self.request_id.endswith(self.id):
            return self.request_id
        return f"{self.request_id}-{self.id}"

"""A dialect: parses requests into the pipeline's calls, and encodes answers and errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.api.off_loop import OffLoop
from gateway.auth.principal import Principal
from gateway.core.aliases import Headers
from gateway.core.call import Call
from gateway.core.errors import GatewayError
from gateway.execution.report import AnswerView
from gateway.execution.request_facts import RequestFacts
from gateway.execution.streaming.encoder import ResponseEncoder


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A received request: its body, the size of that in bytes, its headers by lower-case name, its id, its sender.

    `off_loop` runs the parsing of large requests; `backend_id` is the request id sent to backends, which clients cannot
    choose.
    """

    body: dict[str, Any]
    size: int
    headers: Headers
    request_id: str
    principal: Principal
    off_loop: OffLoop = field(default_factory=OffLoop)
    backend_id: str = ""


class Dialect(Protocol):
    name: str

    async def read(self, parsed: ParsedRequest) -> Call:
        """The call, checked, with a body in the form of a chat completion. GatewayError: the client must mend it."""
        ...

    def encoder(self, facts: RequestFacts, call: Call, view: AnswerView) -> ResponseEncoder:
        """For the answer to a call that this dialect has read."""
        ...

    def error(self, error: GatewayError, request_id: str) -> bytes:
        """The body of an error."""
        ...

    def headers(self, headers: Headers) -> Headers:
        """What answers and errors say in their head, out of what every answer says."""
        ...

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
    """A request as it came: its body, how many bytes that was, its headers in small letters, its id, its sender.

    `off_loop` is where a large one is read, `backend_id` its id at backends, which no client can choose.
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

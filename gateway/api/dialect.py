"""What a dialect is: a request read into the one call that the pipeline knows, answers and errors told in its form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.access.visitor import Visitor
from gateway.answers.teller import Teller
from gateway.api.off_loop import OffLoop
from gateway.errors import GatewayError
from gateway.exchange import Exchange
from gateway.types import Call, Headers


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came: its body, how many bytes that was, its headers in small letters, its id, its sender.

    `off_loop` is where a large one is read, `backend_id` its id at backends, which no client can choose.
    """

    body: dict[str, Any]
    size: int
    headers: Headers
    request_id: str
    visitor: Visitor
    off_loop: OffLoop = field(default_factory=OffLoop)
    backend_id: str = ""


class Dialect(Protocol):
    name: str

    async def read(self, asked: Asked) -> Call:
        """The call, checked, with a body in the form of a chat completion. GatewayError: the client must mend it."""
        ...

    def teller(self, exchange: Exchange) -> Teller:
        """For the answer to the exchange's call."""
        ...

    def error(self, error: GatewayError, request_id: str) -> bytes:
        """The body of an error."""
        ...

    def headers(self, headers: Headers) -> Headers:
        """What answers and errors say in their head, out of what every answer says."""
        ...

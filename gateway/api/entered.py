"""Who sends a request to one of the small routes: let in, counted like any other request, and told of their limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request

from gateway.access.door import Door
from gateway.access.visitor import Visitor
from gateway.api import wire
from gateway.types import Headers

_VISITOR = "thinkgate.visitor"


@contextmanager
def entered(door: Door, request: Request) -> Iterator[Visitor]:
    """InvalidKey: nobody who may come in. QuotaExceeded: they have as many requests as they may."""
    visitor = door.enter(wire.read_headers(request.scope))
    request.scope[_VISITOR] = visitor
    visitor.admit()
    try:
        yield visitor
    finally:
        visitor.leave()


def limits_of(request: Request) -> Headers:
    """What its answer says about the limits of who sent it."""
    visitor: Visitor | None = request.scope.get(_VISITOR)
    return {} if visitor is None else visitor.headers()

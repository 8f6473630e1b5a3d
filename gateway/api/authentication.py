"""Authentication for the small routes: requests are counted, and answers carry the headers about limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request

from gateway.api import asgi
from gateway.auth.authenticator import Authenticator
from gateway.auth.principal import Principal
from gateway.core.aliases import Headers

_VISITOR = "thinkgate.visitor"


@contextmanager
def authenticated(authenticator: Authenticator, request: Request) -> Iterator[Principal]:
    """InvalidKey: nobody who may come in. QuotaExceeded: they have as many requests as they may."""
    principal = authenticator.authenticate(asgi.read_headers(request.scope))
    request.scope[_VISITOR] = principal
    principal.admit()
    try:
        yield principal
    finally:
        principal.leave()


def limits_of(request: Request) -> Headers:
    """What its answer says about the limits of who sent it."""
    principal: Principal | None = request.scope.get(_VISITOR)
    return {} if principal is None else principal.headers()

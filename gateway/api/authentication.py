"""Authentication for the FastAPI routes: requests count towards limits, and answers carry rate-limit headers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request

from gateway.api import asgi
from gateway.auth.authenticator import Authenticator
from gateway.auth.principal import Principal
from gateway.core.aliases import Headers

_PRINCIPAL = "thinkgate.principal"


@contextmanager
def authenticated(authenticator: Authenticator, request: Request) -> Iterator[Principal]:
    """The request's principal. InvalidKey: not authenticated. QuotaExceeded: the request limit is reached."""
    principal = authenticator.authenticate(asgi.read_headers(request.scope))
    request.scope[_PRINCIPAL] = principal
    principal.admit()
    try:
        yield principal
    finally:
        principal.leave()


def limits_of(request: Request) -> Headers:
    """The rate-limit headers for the answer to a request; empty if it was not authenticated."""
    principal: Principal | None = request.scope.get(_PRINCIPAL)
    return {} if principal is None else principal.headers()

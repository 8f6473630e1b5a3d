"""What the routes of FastAPI say of errors: the same as the others."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from gateway.api import wire
from gateway.errors import GatewayError, InternalError, NotFound
from gateway.exchange import Ids


def tell_errors(app: FastAPI, ids: Ids) -> None:
    """Every error of the application's routes is told in OpenAI's shape, with a request id."""

    async def tell(request: Request, error: Exception) -> Response:
        assert isinstance(error, GatewayError)
        headers = {"x-request-id": wire.given_id(request.headers) or ids.for_client(), **error.headers}
        return Response(error.body(), error.status, headers, media_type="application/json")

    async def tell_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        known = NotFound(error.status_code, f"{request.method} {request.url.path[:200]}: {error.detail}.")
        known.headers = dict(error.headers or {})
        return await tell(request, known)

    async def tell_bug(request: Request, error: Exception) -> Response:
        return await tell(request, InternalError())

    app.add_exception_handler(GatewayError, tell)
    app.add_exception_handler(HTTPException, tell_route)
    app.add_exception_handler(Exception, tell_bug)

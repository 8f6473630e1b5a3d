"""What the routes of FastAPI say of errors: the same as the others, in the shape that the client's own SDK reads."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from gateway.api import asgi
from gateway.api.authentication import limits_of
from gateway.api.messages import errors
from gateway.api.safe_headers import SAFE_HEADERS
from gateway.core.aliases import Headers
from gateway.core.errors import GatewayError, InternalError, NotFound
from gateway.core.header_value import safe
from gateway.execution.ids import Ids


def add_error_handlers(app: FastAPI, ids: Ids, mounted: bool = False) -> None:
    """Every error of the application's routes is told with a request id: in Anthropic's shape to its clients and of
    its routes, else in OpenAI's. `mounted`: the headers of every response are added around `app`, not inside of it.
    """

    async def tell(request: Request, error: Exception) -> Response:
        assert isinstance(error, GatewayError)
        id = asgi.given_id(request.headers) or ids.for_client()
        headers: Headers = {"x-request-id": id, **limits_of(request), **error.headers}
        body = error.body()
        if _is_anthropics(request):
            headers, body = errors.headers(headers), errors.body(error, id)
        told = {name: safe(value) for name, value in headers.items()}
        return Response(body, error.status, told, media_type="application/json")

    async def tell_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        known = NotFound(error.status_code, f"{request.method} {request.url.path[:200]}: {error.detail}.")
        known.headers = dict(error.headers or {})
        return await tell(request, known)

    async def tell_bug(request: Request, error: Exception) -> Response:
        response = await tell(request, InternalError())
        if not mounted:
            response.headers.update(SAFE_HEADERS)  # the application's own middleware is inside of what calls this
        return response

    app.add_exception_handler(GatewayError, tell)
    app.add_exception_handler(HTTPException, tell_route)
    app.add_exception_handler(Exception, tell_bug)


def _is_anthropics(request: Request) -> bool:
    return "anthropic-version" in request.headers or f"{request.url.path}/".startswith("/v1/messages/")

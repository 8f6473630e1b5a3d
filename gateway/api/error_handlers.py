"""Error responses of the FastAPI routes, in the format of the client's own SDK, as on all other routes."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from gateway.api import asgi
from gateway.api.asgi import SAFE_HEADERS
from gateway.api.authentication import limits_of
from gateway.api.messages import errors
from gateway.core.aliases import Headers
from gateway.core.errors import GatewayError, InternalError, NotFound
from gateway.core.header_value import safe
from gateway.execution.ids import Ids


def add_error_handlers(app: FastAPI, ids: Ids, mounted: bool = False) -> None:
    """Encode every error with a request id: in Anthropic's format for its clients and routes, else in OpenAI's.

    `mounted`: the security headers of every response are added around `app`, not inside it.
    """

    async def handle(request: Request, error: Exception) -> Response:
        assert isinstance(error, GatewayError)
        id = asgi.client_request_id(request.headers) or ids.for_client()
        headers: Headers = {"x-request-id": id, **limits_of(request), **error.headers}
        body = error.body()
        if _is_anthropics(request):
            headers, body = errors.headers(headers), errors.body(error, id)
        headers = {name: safe(value) for name, value in headers.items()}
        return Response(body, error.status, headers, media_type="application/json")

    async def handle_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        known = NotFound(error.status_code, f"{request.method} {request.url.path[:200]}: {error.detail}.")
        known.headers = dict(error.headers or {})
        return await handle(request, known)

    async def handle_bug(request: Request, error: Exception) -> Response:
        response = await handle(request, InternalError())
        if not mounted:
            response.headers.update(SAFE_HEADERS)  # the application's middleware does not wrap this handler
        return response

    app.add_exception_handler(GatewayError, handle)
    app.add_exception_handler(HTTPException, handle_http_error)
    app.add_exception_handler(Exception, handle_bug)


def _is_anthropics(request: Request) -> bool:
    return "anthropic-version" in request.headers or f"{request.url.path}/".startswith("/v1/messages/")

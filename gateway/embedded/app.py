"""The HTTP side of the engine: vLLM's routes, errors and streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.embedded import VERSION
from gateway.embedded.chat import ChatPrompt
from gateway.embedded.completions import Completion
from gateway.embedded.engine import Engine
from gateway.embedded.errors import NO_BUDGETS, BadRequest, Failed, RequestError, TooLarge
from gateway.embedded.listing import detokenized, models_page, tokenized
from gateway.embedded.protocol import parse_json

Job = ChatPrompt | Completion
# How thinking budgets are treated: enforced (kept); ignored, as unknown fields are; refused, as by a vLLM without a
# reasoning parser.
BUDGETS = ("kept", "ignored", "refused")
_BUDGET = "thinking_token_budget"
DONE = b"data: [DONE]\n\n"
HUNG_UP = 499
# The gateway's default limit.
MOST_BODY_BYTES = 32 * 1024 * 1024


def create_app(engine: Engine, budgets: str = "kept") -> FastAPI:
    """The application that serves `engine`, and starts and stops it. `budgets` is one of BUDGETS."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        engine.stop()

    app = FastAPI(title="Thinkgate's embedded engine", lifespan=lifespan, openapi_url=None)
    app.add_exception_handler(RequestError, _refuse)
    app.add_exception_handler(Exception, _fail)
    _add_generation(app, engine, budgets)
    _add_pages(app, engine)
    return app


def _add_generation(app: FastAPI, engine: Engine, budgets: str) -> None:
    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        return await _answer(request, lambda body, name: ChatPrompt(engine, _budgeted(body, budgets), name))

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        return await _answer(request, lambda body, name: Completion(engine, _budgeted(body, budgets), name))


def _budgeted(body: dict[str, Any], budgets: str) -> dict[str, Any]:
    if budgets == "kept" or body.get(_BUDGET) is None:
        return body
    if budgets == "refused":
        raise BadRequest(NO_BUDGETS)
    return {name: value for name, value in body.items() if name != _BUDGET}


def _add_pages(app: FastAPI, engine: Engine) -> None:
    @app.get("/v1/models")
    async def models() -> Response:
        return _json(models_page(engine.models.values()))

    @app.get("/health")
    @app.get("/ping")
    async def health() -> Response:
        return Response(status_code=200 if engine.healthy else 503)

    @app.get("/version")
    async def version() -> Response:
        return _json({"version": VERSION})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(engine.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    @app.post("/tokenize")
    async def tokenize(request: Request) -> Response:
        return _json(tokenized(engine, parse_json(await _body(request))))

    @app.post("/detokenize")
    async def detokenize(request: Request) -> Response:
        return _json(detokenized(engine, parse_json(await _body(request))))


async def _answer(request: Request, accept: Callable[[dict[str, Any], str | None], Job]) -> Response:
    job = accept(parse_json(await _body(request)), request.headers.get("x-request-id"))
    if job.streamed:
        return StreamingResponse(_events(job), media_type="text/event-stream")
    try:
        body = await _unless_hung_up(request, job.plain())
    finally:
        job.generation.close()
    return Response(status_code=HUNG_UP) if body is None else _json(body)


async def _body(request: Request) -> bytes:
    """Raises TooLarge."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MOST_BODY_BYTES:
            raise TooLarge(MOST_BODY_BYTES)
    return bytes(content)


async def _events(job: Job) -> AsyncIterator[bytes]:
    try:
        async for chunk in job.chunks():
            yield _event(chunk)
        yield DONE
    except RequestError as error:  # too late for a status
        yield _event(error.body())
        yield DONE
    finally:
        job.generation.close()


def _event(content: Any) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"


async def _unless_hung_up(request: Request, work: Awaitable[dict[str, Any]]) -> dict[str, Any] | None:
    """The result of `work`, or None as soon as the client is gone."""
    working = asyncio.ensure_future(work)
    listening = asyncio.ensure_future(_hang_up(request))
    try:
        await asyncio.wait({working, listening}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        listening.cancel()


async def _hang_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, "application/json")


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _json(error.body(), error.status, dict(error.headers))


async def _fail(_: Request, error: Exception) -> Response:
    return _json(Failed("Internal server error").body(), 500)

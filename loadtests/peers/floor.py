"""The floor: what FastAPI and aiohttp cost when nothing is decided, checked, recorded or counted."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse


def create_app(backend: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            app.state.session = session
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = orjson.loads(await request.body())
        answer = await app.state.session.post(f"{backend}/chat/completions", data=orjson.dumps(body))
        if not body.get("stream"):
            return Response(await answer.read(), answer.status, media_type="application/json")

        async def chunks() -> AsyncIterator[bytes]:
            async for chunk in answer.content.iter_any():
                yield chunk
            answer.release()

        return StreamingResponse(chunks(), media_type="text/event-stream")

    return app


def main() -> None:
    """On a port that the system gives, which is said."""
    # With its protocol, as asyncio would else let small answers wait for each other.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        print(f"listening {listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(create_app(sys.argv[1]), access_log=False, log_level="error")
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()

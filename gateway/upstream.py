"""The way to the backends: one POST, its status awaited, every failure turned into one of our errors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from itertools import cycle
from typing import Any

import aiohttp
import orjson
from yarl import URL

from gateway.errors import (
    BackendFailed,
    BackendRefused,
    BackendTimeout,
    BackendUnreachable,
    StreamCut,
    error_fields,
)
from gateway.types import Deployment, Headers

# Below the 5 s after which uvicorn-based backends drop an idle connection, so that a reused one is rarely dead.
KEEPALIVE_S = 4.0
# What a client may need of a refusal besides its body.
KEPT_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry")
DRAIN_S = 0.2
MAX_ERROR_BYTES = 65_536


class Reply:
    """A backend's answer with status 200. Must be closed; closing before the end hangs up on the backend."""

    def __init__(self, response: aiohttp.ClientResponse, deployment: Deployment) -> None:
        self._response = response
        self._deployment = deployment

    async def read(self) -> bytes:
        try:
            return await self._response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _failure(error, self._deployment) from error

    async def chunks(self) -> AsyncIterator[bytes]:
        """Bytes as they arrive. StreamCut or BackendTimeout if they stop before the body's end."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _cut(error, self._deployment) from error

    async def drain(self, chunks: AsyncIterator[bytes]) -> None:
        """Read what follows the answer's end, so that the connection can be used again; a moment, no longer."""
        with contextlib.suppress(StreamCut, BackendTimeout, TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                async for _ in chunks:
                    pass

    def close(self) -> None:
        """A body read to its end gives the connection back; anything else drops it."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class Upstream:
    """The connection pool. `open` and `close` belong to the application's life."""

    def __init__(self, deployments: dict[str, Deployment]) -> None:
        self._routes = {name: _Route(deployment) for name, deployment in deployments.items()}
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=30)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"content-type": "application/json", "accept-encoding": "identity", "user-agent": "thinkgate"},
            auto_decompress=False,
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, deployment: Deployment, body: dict[str, Any], headers: Headers) -> Reply:
        """Send a chat completion. BackendRefused for every status but 200; BackendFailed if there was none."""
        route = self._routes[deployment.name]
        data = orjson.dumps(body)
        try:
            response = await self._post_once(route, data, headers)
        except aiohttp.ServerDisconnectedError:
            # An idle connection that the backend had just dropped: nothing was answered, so try once on a new one.
            response = await self._send(route, data, headers)
        if response.status == 200:
            return Reply(response, deployment)
        raise await _refusal(response)

    async def _post_once(self, route: _Route, data: bytes, headers: Headers) -> aiohttp.ClientResponse:
        assert self._session is not None, "open() comes first"
        try:
            return await self._session.post(
                next(route.urls),
                data=data,
                headers={**route.headers, **headers},
                timeout=route.timeout,
                allow_redirects=False,
            )
        except aiohttp.ServerDisconnectedError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _failure(error, route.deployment) from error

    async def _send(self, route: _Route, data: bytes, headers: Headers) -> aiohttp.ClientResponse:
        try:
            return await self._post_once(route, data, headers)
        except aiohttp.ServerDisconnectedError as error:
            raise _failure(error, route.deployment) from error

    async def answers(self, deployment: Deployment, timeout_s: float = 2.0) -> str | None:
        """None if some replica of the deployment lists its models; else why not, in words."""
        assert self._session is not None, "open() comes first"
        route = self._routes[deployment.name]
        why = "no answer"
        for url in deployment.urls:
            try:
                timeout = aiohttp.ClientTimeout(total=timeout_s)
                async with self._session.get(f"{url}/models", headers=route.headers, timeout=timeout) as response:
                    if response.status == 200:
                        return None
                    why = f"status {response.status}"
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                why = _failure(error, deployment).message
        return why


class _Route:
    """What is the same in every request to a deployment, made once."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.urls = cycle([URL(f"{url}/chat/completions") for url in deployment.urls])
        self.headers = {"authorization": f"Bearer {deployment.api_key}"} if deployment.api_key else {}
        self.timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=deployment.connect_timeout_s, sock_read=deployment.read_timeout_s
        )


async def _refusal(response: aiohttp.ClientResponse) -> BackendRefused:
    """The backend's refusal with its status, its fields and the headers that matter."""
    kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    try:
        raw = await response.content.read(MAX_ERROR_BYTES)
    except (aiohttp.ClientError, TimeoutError):
        raw = b""
    finally:
        response.close()
    status = response.status if 400 <= response.status < 600 else 502
    return BackendRefused(status, kept, error_fields(raw) or {"message": f"The backend answered {response.status}."})


def _failure(error: BaseException, deployment: Deployment) -> BackendFailed:
    """Before the first byte: nothing of an answer has been seen."""
    name = deployment.name
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return BackendUnreachable(f"The backend {name} cannot be reached.")
    if isinstance(error, TimeoutError):
        return BackendTimeout(f"The backend {name} did not answer in time.")
    return BackendFailed(f"The backend {name} broke off before it answered.")


def _cut(error: BaseException, deployment: Deployment) -> BackendFailed:
    if isinstance(error, TimeoutError):
        return BackendTimeout(f"The backend {deployment.name} stopped sending.")
    return StreamCut(f"The backend {deployment.name} broke off in the middle of its answer.")

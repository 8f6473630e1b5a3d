"""HTTP transport to backends: sends a POST, awaits its status, and translates failures into the gateway's errors.

Another replica is tried if one fails before the first byte of the answer, never after it.

It uses aiohttp, as measured: a plain answer takes 0.09 ms of CPU and a stream of 14 chunks 0.28; with httpx 0.96 and
2.14.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import aiohttp
import orjson
from yarl import URL

from gateway.backends import failures
from gateway.backends.attempt import Attempt
from gateway.backends.connector import KEEPALIVE_S, REUSED, Connector
from gateway.backends.conversation import conversation
from gateway.backends.deadline import Deadline
from gateway.backends.destination import CHAT, Destination
from gateway.backends.http_reply import HttpReply
from gateway.backends.replicas import Replica, Replicas
from gateway.backends.sign_in import SignIn
from gateway.core import large_json
from gateway.core.aliases import Headers, JsonObject
from gateway.core.backend_errors import (
    SignInRefused,
)
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.errors import GatewayError
from gateway.core.plan import Plan

# Bytes buffered from a backend for a slow client; aiohttp buffers up to twice that.
READ_BUFFER = 64 * 1024
# Requests from this size in bytes on are sent in pieces, so that others can run in between.
LARGE_BODY = 512 * 1024
# The size limit of an answer to `ask`.
MOST_ASKED_BYTES = 4 * 1024 * 1024


class Transport:
    """The connection pool. `open` and `close` it with the application."""

    def __init__(self, deployments: Mapping[str, Deployment], retried: Callable[[str], None] = lambda _: None) -> None:
        """`retried` is called with a deployment's name for each retry on another replica, `returned` when a replica
        recovers.
        """
        self._retried = retried
        self.sign_in = SignIn(lambda deployment: None)
        self.returned: Callable[[str], None] = lambda deployment: None
        self._destinations = {name: Destination(deployment) for name, deployment in deployments.items()}
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        connector = Connector(limit=0, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=30)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"content-type": "application/json", "accept-encoding": "identity", "user-agent": "thinkgate"},
            auto_decompress=False,
            read_bufsize=READ_BUFFER,
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, plan: Plan, call: Call, spent_s: float = 0.0, path: str = CHAT) -> HttpReply:
        """Send a request to a path below `/v1`; try another replica if one fails before its answer begins.

        `spent_s`: how much of the time for the whole answer is already spent. BackendRefused for any status but 200;
        BackendFailed if there was none.
        """
        deadline = Deadline(plan.deployment, spent_s, call.stream)
        try:
            return await self._post(plan, call, deadline, path)
        except BaseException:
            deadline.off()
            raise

    async def _post(self, plan: Plan, call: Call, deadline: Deadline, path: str) -> HttpReply:
        destination = self._destinations[plan.deployment.name]
        small = call.size < LARGE_BODY
        data = orjson.dumps(plan.body) if small else await asyncio.to_thread(large_json.dumps, plan.body)
        several = len(destination.replicas.all) > 1
        prefix = conversation(call) if several else ""
        client = destination.client_of(call) if several else call.key
        # A request that is itself a client's retry is not retried: two layers of retries would multiply.
        retries = 0 if call.client_retries else plan.deployment.retries
        tried: list[Replica] = []
        while (replica := destination.replicas.pick(prefix, tried, client)) is not None:
            if tried:
                self._retried(destination.deployment.name)
            tried.append(replica)
            try:
                return await self._try_replica(destination, replica, path, data, call, plan.tokens, deadline)
            except GatewayError as error:
                last = error
                if len(tried) > retries or not failures.is_retryable(error):
                    break
        raise last

    def replicas(self, deployment: str) -> Replicas:
        return self._destinations[deployment].replicas

    def all_circuits_open(self, deployment: str, call: Call | None = None) -> bool:
        """Whether the circuits of all its replicas are open for the call's client."""
        destination = self._destinations[deployment]
        return not destination.replicas.any_open(None if call is None else destination.client_of(call))

    async def _try_replica(
        self,
        destination: Destination,
        replica: Replica,
        path: str,
        data: bytes,
        call: Call,
        tokens: float,
        deadline: Deadline,
    ) -> HttpReply:
        """One attempt at one replica, which records the outcome."""
        attempt = Attempt(destination.replicas, replica, tokens, call, partial(self._recovered, destination))
        try:
            async with deadline:
                response = await self._send(destination, destination.url(replica.url, path), data, call.forwarded)
                if response.status != 200:
                    raise await failures.refusal(response, destination.deployment)
        except GatewayError as error:
            if isinstance(error, SignInRefused):
                self.sign_in.refused(destination.deployment.name, replica.url)
            attempt.refused(error)
            attempt.end()
            raise
        except BaseException:
            attempt.end()
            raise
        deadline.answered(response)
        return HttpReply(response, destination.deployment, attempt, deadline)

    def _recovered(self, destination: Destination) -> None:
        self.returned(destination.deployment.name)

    async def _send(self, destination: Destination, url: URL, data: bytes, headers: Headers) -> aiohttp.ClientResponse:
        try:
            while True:
                try:
                    return await self._send_once(destination, url, data, headers)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    # The backend had just closed this idle connection and never saw the request: retry once on another.
                    if not REUSED.get():
                        raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise failures.failure(error, destination.deployment) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the transport must be opened first, with open()")
        return self._session

    async def _send_once(
        self, destination: Destination, url: URL, data: bytes, headers: Headers
    ) -> aiohttp.ClientResponse:
        return await self._opened().post(
            url,
            data=_payload(data),
            headers={**destination.headers, **headers},
            timeout=destination.timeout,
            allow_redirects=False,
        )

    async def answers(self, deployment: Deployment, timeout_s: float = 2.0) -> str | None:
        """None if a replica of the deployment lists its models; else the reason."""
        why = "no answer"
        for url in deployment.urls:
            try:
                status, _ = await self.ask(deployment, f"{url}/models", timeout_s=timeout_s)
            except GatewayError as error:
                why = error.message
                continue
            if status == 200:
                return None
            why = f"status {status}"
        return why

    async def ask(
        self, deployment: Deployment, url: str, body: JsonObject | None = None, timeout_s: float = 2.0
    ) -> tuple[int, bytes]:
        """Status and body of a small request to one replica, with the deployment's key: a GET if there is no `body`.

        It does not affect the circuit breaker. BackendFailed: the answer is late or too large.
        """
        data = None if body is None else large_json.dumps(body)
        try:
            async with self._opened().request(
                "GET" if data is None else "POST",
                URL(url),
                data=None if data is None else _payload(data),
                headers=self._destinations[deployment.name].headers,
                timeout=aiohttp.ClientTimeout(total=timeout_s, connect=deployment.timeouts.connect_timeout_s),
                allow_redirects=False,
            ) as response:
                content = bytearray()
                while (part := await response.content.readany()) and len(content) < MOST_ASKED_BYTES:
                    content += part
                return response.status, bytes(content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise failures.failure(error, deployment) from error


def _payload(data: bytes) -> bytes | large_json.InPieces:
    return data if len(data) < LARGE_BODY else large_json.InPieces(data)


def root(url: str) -> str:
    """The URL of an engine's own routes: the base URL without its API version."""
    return url.removesuffix("/v1")

"""The server of one process, with graceful shutdown: it stops accepting, and lets running requests finish.

Idle connections are not closed at once, since their clients may just be sending: in a grace period one more request is
answered, with `connection: close`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from gateway.config.server import ServerSettings as ServerSettings
from gateway.core.stopping import Stopping
from gateway.serving.connection import limited
from gateway.serving.connections import Connections
from gateway.serving.handover import refuse_new_connections
from gateway.serving.open_files import connections_within

BACKLOG = 2048
IDLE_GRACE_S = 1.0
TICK_S = 0.05
FINAL_EVENTS_S = 1.0
CLOSE = (b"connection", b"close")


class GatewayServer(uvicorn.Server):
    """Calls `ready` when it accepts connections; sets `stopping` when shutdown begins."""

    def __init__(
        self,
        app: ASGIApp,
        settings: ServerSettings,
        stopping: Stopping,
        ready: Callable[[], None],
        lost: Callable[[str], None] = lambda why: None,
        hand_over: bool = False,
    ) -> None:
        """`lost` is called with the reason, one word, for each connection closed or refused at the limit.

        `hand_over`: another process may listen on the same port with its own sockets, and takes over new connections.
        """
        all_connections = Connections(
            connections_within(settings.max_connections),
            settings.max_connections_per_address,
            settings.trusted_proxies,
            lost,
        )
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,  # the process configures its own
                access_log=False,  # records have more detail
                log_level="error",  # malformed requests of arbitrary clients are not logged
                http=limited(settings, all_connections),
                ws="none",
                lifespan="on",
                server_header=False,
                proxy_headers=False,  # the client's address is not used
                backlog=BACKLOG,
                timeout_keep_alive=settings.keepalive_s,  # type: ignore[arg-type]
            )
        )
        self._drain_s = settings.drain_s
        self._stopping = stopping
        self._ready = ready
        self._hand_over = hand_over

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping.begun = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let requests finish within `drain_s` seconds, then cancel the rest."""
        self._stopping.begun = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._drain_s
        state = self.server_state
        state.default_headers = [*state.default_headers, CLOSE]
        await self._stop_accepting(sockets or [])
        while (state.connections or state.tasks) and loop.time() < deadline and not self.force_exit:
            for connection in state.connections:
                connection.leave(IDLE_GRACE_S)  # type: ignore[union-attr]
            await asyncio.sleep(TICK_S)
        for task in list(state.tasks):
            task.cancel()
        await self._until_no_task()
        for connection in list(state.connections):
            connection.transport.abort()
        await self._until_no_task()
        await self.lifespan.shutdown()

    async def _until_no_task(self) -> None:
        """Let cancelled requests send their final events, for a limited time."""
        if self.server_state.tasks:
            await asyncio.wait(list(self.server_state.tasks), timeout=FINAL_EVENTS_S)

    async def _stop_accepting(self, listeners: list[socket.socket]) -> None:
        """Close the listeners. Connections that are waiting to be accepted are still served, not reset."""
        duplicates = [listener.dup() for listener in listeners]
        if self._hand_over:
            for listener in duplicates:
                refuse_new_connections(listener)
        for server in self.servers:
            server.close()
        # The event loop releases the listeners in its next iteration, and pending handshakes complete.
        await asyncio.sleep(TICK_S)
        for listener in listeners:
            listener.close()
        accepted = [connection for listener in duplicates for connection in _accept_all(listener)]
        for connection in accepted:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def _accept_all(listener: socket.socket) -> list[socket.socket]:
    """Accept all waiting connections, then close the listener."""
    listener.setblocking(False)
    accepted: list[socket.socket] = []
    with listener, contextlib.suppress(BlockingIOError):
        while True:
            accepted.append(listener.accept()[0])
    return accepted

"""How clients' connections are served: uvicorn's way, but one that takes nothing for too long is given up."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class ClientConnection(HttpToolsProtocol):
    """uvicorn stops making an answer while the client is slow to take it, and waits for ever. Here it waits
    `write_timeout_s` seconds for its 64 KiB to be taken; then the connection is reset, which ends the request as any
    hang-up does.
    """

    write_timeout_s: float
    _write_deadline: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_deadline = self.loop.call_later(self.write_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._no_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._no_deadline()
        super().connection_lost(exc)

    def _no_deadline(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None


def client_connection(write_timeout_s: float) -> type[asyncio.Protocol]:
    """The class that uvicorn makes each connection of."""
    fields: dict[str, Any] = {"write_timeout_s": write_timeout_s}
    return type("ClientConnection", (ClientConnection,), fields)

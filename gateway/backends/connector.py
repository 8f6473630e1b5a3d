"""Connections to backends: when they may be reused, and how they are closed."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import aiohttp

# Below the 5 s after which uvicorn-based backends drop an idle connection, so that a reused one is rarely dead.
KEEPALIVE_S = 4.0
# Whether the latest connection of a request was a reused one.
REUSED: ContextVar[bool] = ContextVar("reused", default=False)


class Connector(aiohttp.TCPConnector):
    """Never reuses a connection that received unsolicited bytes (response desynchronisation).

    A connection closed with part of its request unsent is reset: a backend that does not read would block the close
    for ever.
    """

    async def _get(self, *of: Any) -> Any:
        while (connection := await super()._get(*of)) is not None:
            if connection.protocol is not None and not connection.protocol.should_close:
                break
            connection.close()
        REUSED.set(connection is not None)
        return connection

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        transport = protocol.transport
        if (should_close or protocol.should_close) and transport is not None and transport.get_write_buffer_size():
            protocol.abort()
        super()._release(key, protocol, should_close=should_close)

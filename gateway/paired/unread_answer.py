"""The encoder of an answer that goes to no client."""

from __future__ import annotations

from typing import Any

from gateway.core.errors import GatewayError


class UnreadAnswer:
    """Nothing is encoded, nothing is stored: what is known of the answer is in its record."""

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        return b""

    async def whole(self, body: dict[str, Any], raw: bytes) -> bytes:
        return b""

    async def end(self) -> bytes:
        return b""

    def broken(self, error: GatewayError) -> bytes:
        return b""

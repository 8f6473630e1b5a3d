"""Security headers of every response: no content sniffing, and no caching."""

from __future__ import annotations

from gateway.api.asgi import App, Message, Receive, Scope, Send

SAFE_HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
_ENCODED = [(name.encode(), value.encode()) for name, value in SAFE_HEADERS.items()]


class SafeHeaders:
    """ASGI middleware."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_ENCODED]
            await send(message)

        await self._app(scope, receive, send_with_headers)

"""Security headers of the responses that the framework sends; `asgi` adds them to all others."""

from __future__ import annotations

from gateway.api.asgi import SAFE_HEADERS_ENCODED, App, Message, Receive, Scope, Send


class SafeHeaders:
    """ASGI middleware."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                message["headers"] = [*headers, *(safe for safe in SAFE_HEADERS_ENCODED if safe not in headers)]
            await send(message)

        await self._app(scope, receive, send_with_headers)

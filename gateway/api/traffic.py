"""Takes model requests to their endpoints past the framework's router, which every other request goes through."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.api.asgi import App, Receive, Scope, Send


class Traffic:
    """ASGI middleware. Below a `root_path` paths are the router's to read: nothing is taken past it there."""

    def __init__(self, app: App, endpoints: Mapping[str, App]) -> None:
        """`endpoints` answer POST requests, by their paths."""
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and scope["method"] == "POST" and not scope.get("root_path"):
            app = self._endpoints.get(scope["path"], app)
        await app(scope, receive, send)

"""Clients that leave before their answer is complete: the task that makes it is cancelled, under any ASGI server."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from gateway.api.asgi import Receive, Scope
from gateway.core.scope_extension import ON_HANG_UP, extensions
from gateway.execution.recorder import Recorder

log = logging.getLogger("thinkgate")


class HangUps:
    """Makes a watch for each request. Its first one without the extension of the gateway's own server is logged."""

    def __init__(self) -> None:
        self._logged = False

    def watch(self, scope: Scope, receive: Receive, task: asyncio.Task[Any], recorder: Recorder) -> Watch:
        """For the request of `scope`, whose answer `task` makes."""
        extension = extensions(scope).get(ON_HANG_UP)
        if extension is None and not self._logged:
            self._logged = True
            log.warning(
                "not the gateway's own server: hang-ups are noticed by watching receive(), and heads, slow bodies, slow"
                " readers and connections are limited by the server's own means"
            )
        return Watch(extension, receive, task, recorder)


class Watch:
    """`begin` once the body is read, as watching reads on; `end` when the answer is over."""

    __slots__ = ("_extension", "_receive", "_recorder", "_task", "_watching")

    def __init__(
        self, extension: dict[str, Any] | None, receive: Receive, task: asyncio.Task[Any], recorder: Recorder
    ) -> None:
        self._extension = extension
        self._receive = receive
        self._task = task
        self._recorder = recorder
        self._watching: asyncio.Task[None] | None = None

    @property
    def own_server(self) -> bool:
        """Whether the gateway's own server runs the task. Others cancel it for reasons of their own."""
        return self._extension is not None

    def begin(self) -> None:
        if self._extension is None:
            self._watching = asyncio.create_task(self._until_disconnect())
        else:
            self._extension["register"](self._hang_up)

    def end(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    async def _until_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._hang_up()

    def _hang_up(self) -> None:
        if not self._recorder.closed:
            self._recorder.client_left()
            self._task.cancel()

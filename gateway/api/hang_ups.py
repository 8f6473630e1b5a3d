"""Cancels the task that answers a request when its client disconnects early, under any ASGI server."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from gateway.api.asgi import Receive, Scope
from gateway.core.scope_extension import ON_HANG_UP, extensions
from gateway.execution.recorder import Recorder

log = logging.getLogger("thinkgate")


class HangUps:
    """Creates a watch for each request. Logs once if the gateway's own server, and so its extension, is missing."""

    def __init__(self) -> None:
        self._logged = False

    def watch(self, scope: Scope, receive: Receive, task: asyncio.Task[Any], recorder: Recorder) -> Watch:
        """A watch for the request of `scope`, which `task` answers."""
        extension = extensions(scope).get(ON_HANG_UP)
        if extension is None and not self._logged:
            self._logged = True
            log.warning(
                "running under another ASGI server: disconnects are noticed by watching receive(); limits on request"
                " heads, slow bodies, slow readers and connections are up to that server"
            )
        return Watch(extension, receive, task, recorder)


class Watch:
    """Call `begin` only after the body is read, since watching calls `receive()`; call `end` after the answer."""

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
        """Whether the gateway's own server runs the task. Other servers may cancel it for other reasons."""
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

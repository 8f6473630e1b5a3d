"""Serves learned versions as soon as they are to serve: looks now and then at the file that says which do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.config.settings import Settings
from gateway.core.errors import ConfigError
from gateway.storage.router_versions import RouterVersions

log = logging.getLogger("thinkgate")
LOOK_EVERY_S = 2.0


class VersionWatch:
    """`reload` reads the configuration and the versions again. ConfigError: refused, and what serves serves on."""

    def __init__(self, store: RouterVersions, reload: Callable[[], object]) -> None:
        self._store = store
        self._reload = reload
        self._seen = store.stamp()
        self._stopping = threading.Event()

    def look(self) -> bool:
        """Whether something has changed since the last look."""
        stamp = self._store.stamp()
        if stamp == self._seen:
            return False
        # Before the reload: what changes meanwhile is for the next look.
        self._seen = stamp
        try:
            self._reload()
        except (ConfigError, OSError) as error:
            log.error("learned routers changed, and what serves serves on: %s", error)
        return True

    @contextmanager
    def running(self) -> Iterator[None]:
        """Looks in a thread of its own meanwhile."""
        thread = threading.Thread(target=self._run, name="router versions", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            self.look()


@contextmanager
def watching(settings: Settings, reload: Callable[[], object]) -> Iterator[None]:
    """Where records can be learned from."""
    if not settings.learn.keeps_features:
        yield
        return
    with VersionWatch(RouterVersions(settings.versions_path), reload).running():
        yield

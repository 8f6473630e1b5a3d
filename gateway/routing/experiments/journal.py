"""What has happened to experiments: a file of JSON lines that all workers of a host, and every restart, agree on.

Lines are only appended, under a lock, one for each change. Readers look at the file's size now and then.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import orjson

from gateway.core import private_file
from gateway.core.errors import ConfigError
from gateway.routing.experiments.state import Action, Event

log = logging.getLogger("thinkgate")

# How old what was read may be, in seconds: so soon after a change do all workers know of it.
LOOK_EVERY_S = 0.25
_ACTIONS = frozenset(get_args(Action))


class Journal:
    """One for each process. `clock` is monotonic, in seconds."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._look_at = 0.0
        self._size = 0
        self._events: tuple[Event, ...] = ()

    def events(self) -> tuple[Event, ...]:
        """All of them, oldest first; the same object as long as there are no others."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            self._read()
        return self._events

    @contextmanager
    def writing(self) -> Iterator[Callable[[Event], None]]:
        """Nobody else writes meanwhile, and `events` are those of now. OSError: the file cannot be written."""
        private_file.make_folder(self.path.parent)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, private_file.FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._read()
            yield lambda event: _append(descriptor, event)
        finally:
            os.close(descriptor)
            self._read()

    def check(self) -> None:
        """ConfigError: the file is not what it should be, or cannot be used."""
        if self.path.exists() and not self.path.is_file():
            raise ConfigError([f"experiments: {self.path} is not a file"])

    def _read(self) -> None:
        try:
            size = self.path.stat().st_size
            if size == self._size:
                return
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            self._size, self._events = 0, ()
            return
        except OSError as error:
            log.error("cannot read what experiments do: %s", error)
            return
        self._size = size
        self._events = tuple(event for event in map(_event, lines) if event is not None)


def _append(descriptor: int, event: Event) -> None:
    known = {name: value for name, value in event._asdict().items() if value is not None}
    # A line of its own, also after one that a full disk has torn.
    end = os.fstat(descriptor).st_size
    torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
    os.write(descriptor, (b"\n" if torn else b"") + orjson.dumps(known) + b"\n")
    os.fsync(descriptor)


def _event(line: bytes) -> Event | None:
    if not line:
        return None
    try:
        found = orjson.loads(line)
        event = Event(**found)
        if event.action in _ACTIONS and all(weight > 0 for weight in (event.weights or {}).values()):
            return event
    except (orjson.JSONDecodeError, TypeError, AttributeError):
        pass
    log.warning("skipped a damaged line of the experiments' journal")
    return None

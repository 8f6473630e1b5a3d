"""Several gateway processes behind one listening socket, which stays open while they are replaced."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from tempfile import TemporaryDirectory

from prometheus_client.multiprocess import mark_process_dead

from gateway.core.errors import ConfigError
from gateway.observability import logs
from gateway.observability.metrics import SHARED_FOLDER

log = logging.getLogger("thinkgate")

# The function that a worker runs: serve on the socket with the settings, and call the third argument once ready.
Target = Callable[[str, socket.socket, Callable[[], None]], None]
# Requests a reload; Windows has no such signal.
RENEW: int | None = getattr(signal, "SIGHUP", None)
# The pause before replacing a worker that died before serving, in seconds; doubled each time up to the longest.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
# A worker that does not serve within this time is killed.
START_S = 60.0


@dataclass(slots=True, eq=False)
class Worker:
    """`generation` counts configurations; `pipe` delivers one message when it serves, which must be before `due`."""

    generation: int
    settings: str
    process: BaseProcess
    pipe: Connection
    due: float
    serves: bool = False


class Workers:
    """`count` processes that run `target(settings, listener, ready)` until SIGTERM or SIGINT.

    A worker that dies is replaced. On SIGHUP `reload` returns new settings, and the workers are replaced one by one:
    each old one stops only when its successor serves. Settings that are invalid, or that no worker can start with,
    change nothing. `ready` is called once, when all workers serve.

    The workers watch a pipe from this process, and stop when it closes because this process died. Their metrics are in
    files of one folder, so that each of them can report the metrics of all.
    """

    def __init__(
        self,
        target: Target,
        settings: str,
        listener: socket.socket,
        count: int,
        reload: Callable[[], str],
        ready: Callable[[], None],
    ) -> None:
        self._target = target
        self._settings = settings
        self._listener = listener
        self._count = count
        self._reload = reload
        self._ready: Callable[[], None] | None = ready
        self._generation = 0
        self._proven: tuple[int, str] | None = None
        self._workers: list[Worker] = []
        self._leaving: list[Worker] = []
        self._pause_s = 0.0
        self._not_before = 0.0

    def run(self) -> None:
        """ConfigError: no worker can start with the first settings."""
        context = multiprocessing.get_context("spawn")
        woken, wake = socket.socketpair()
        watched, kept_open = context.Pipe(duplex=False)
        wake.setblocking(False)
        # A wake-up file descriptor instead of Python handlers: a handler whose signal arrives just before `wait` would
        # only run after it.
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, RENEW):
            if number is not None:
                signal.signal(number, lambda *_: None)

        def start() -> Worker:
            receiver, sender = context.Pipe(duplex=False)
            arguments = (self._target, self._settings, self._listener, watched, sender)
            process = context.Process(target=_work, args=arguments)
            process.start()
            sender.close()
            return Worker(self._generation, self._settings, process, receiver, time.monotonic() + START_S)

        with TemporaryDirectory(prefix="thinkgate-metrics-") as folder, woken, wake, watched, kept_open:
            os.environ[SHARED_FOLDER] = folder
            try:
                self._fill(start)
                while self._wait(woken, folder):
                    self._fill(start)
                    self._renew(start)
            finally:
                signal.set_wakeup_fd(-1)
                everyone = [*self._workers, *self._leaving]
                for worker in everyone:
                    worker.process.terminate()
                for worker in everyone:
                    worker.process.join()
                    worker.pipe.close()

    def _wait(self, woken: socket.socket, folder: str) -> bool:
        """Wait for an event and handle it; False: stop."""
        everyone = [*self._workers, *self._leaving]
        starting = [worker for worker in self._workers if not worker.serves]
        next_steps = [worker.due for worker in starting]
        if len(self._workers) < self._count:
            next_steps.append(self._not_before)
        timeout_s = max(min(next_steps) - time.monotonic(), 0.0) if next_steps else None
        news: list[socket.socket | Connection] = [woken, *(worker.pipe for worker in starting)]
        happened = wait([*news, *(worker.process.sentinel for worker in everyone)], timeout_s)
        for worker in self._workers:
            if worker.pipe in happened and _reports_serving(worker):
                self._mark_serving(worker)
        for worker in everyone:
            if not worker.serves and time.monotonic() > worker.due:
                worker.process.kill()
            if not worker.process.is_alive():
                self._handle_exit(worker, folder)
        if woken not in happened:
            return True
        signals = {*woken.recv(4096)}
        if signals & {signal.SIGTERM, signal.SIGINT}:
            return False
        if RENEW in signals:
            self._new_settings()
        return True

    def _fill(self, start: Callable[[], Worker]) -> None:
        while len(self._workers) < self._count and time.monotonic() >= self._not_before:
            self._workers.append(start())

    def _renew(self, start: Callable[[], Worker]) -> None:
        """Once all workers serve, start a successor for the next one with old settings; stop that when it serves."""
        if not all(worker.serves for worker in self._workers):
            return
        if len(self._workers) > self._count:
            oldest = min(self._workers, key=lambda worker: worker.generation)
            self._workers.remove(oldest)
            self._leaving.append(oldest)
            oldest.process.terminate()
        if any(worker.generation < self._generation for worker in self._workers):
            self._workers.append(start())

    def _mark_serving(self, worker: Worker) -> None:
        worker.serves = True
        self._pause_s = self._not_before = 0.0
        if self._proven is None or worker.generation > self._proven[0]:
            self._proven = worker.generation, worker.settings
        if self._ready is not None and all(each.serves for each in self._workers):
            self._ready()
            self._ready = None

    def _handle_exit(self, worker: Worker, folder: str) -> None:
        mark_process_dead(worker.process.pid, folder)  # type: ignore[no-untyped-call]
        worker.pipe.close()
        worker.process.join()
        if worker in self._leaving:
            self._leaving.remove(worker)
            return
        self._workers.remove(worker)
        if worker.serves:
            return
        if self._proven is None:
            raise ConfigError([f"a worker ended with status {worker.process.exitcode} before it served"])
        if worker.generation > self._proven[0]:
            log.error("no worker can start with the new configuration: the old one stays in use")
            self._generation, self._settings = self._proven
            return
        self._pause_s = min(max(self._pause_s * 2, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        self._not_before = time.monotonic() + self._pause_s

    def _new_settings(self) -> None:
        try:
            self._settings = self._reload()
        except ConfigError as error:
            for fault in error.faults:
                log.error("%s", fault)
            log.error("the old configuration stays in use")
            return
        self._generation += 1


def _reports_serving(worker: Worker) -> bool:
    """Whether the worker reports that it serves; False: it died."""
    try:
        worker.pipe.recv_bytes()
    except EOFError:
        return False
    return True


def _work(target: Target, settings: str, listener: socket.socket, watched: Connection, pipe: Connection) -> None:
    def stop_with_parent() -> None:
        wait([watched])
        os.kill(os.getpid(), signal.SIGTERM)

    logs.begin()
    # A terminal sends it to all processes; only the main one handles it.
    if RENEW is not None:
        signal.signal(RENEW, signal.SIG_IGN)
    threading.Thread(target=stop_with_parent, name="stop-with-parent", daemon=True).start()
    target(settings, listener, lambda: pipe.send_bytes(b"serves"))

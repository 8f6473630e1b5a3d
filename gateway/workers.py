"""Several gateway processes behind one listening socket."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from tempfile import TemporaryDirectory

from prometheus_client.multiprocess import mark_process_dead

from gateway.metrics import SHARED_FOLDER

Target = Callable[[str, socket.socket], None]


def run_workers(target: Target, settings: str, listener: socket.socket, count: int) -> None:
    """Run `target(settings, listener)` in `count` processes until SIGTERM or SIGINT; a worker that dies is replaced.

    The workers watch a pipe that only this process writes to: when it dies, however suddenly, they stop. They count
    into files of one folder, so that each of them can tell the metrics of all.
    """
    with TemporaryDirectory(prefix="thinkgate-metrics-") as folder:
        os.environ[SHARED_FOLDER] = folder
        _run(target, settings, listener, count, folder)


def _run(target: Target, settings: str, listener: socket.socket, count: int, folder: str) -> None:
    context = multiprocessing.get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    woken, wake = context.Pipe(duplex=False)

    def start() -> BaseProcess:
        process = context.Process(target=_work, args=(target, settings, listener, watched))
        process.start()
        return process

    stopping = threading.Event()

    def stop(*_: object) -> None:
        if not stopping.is_set():
            stopping.set()
            wake.send_bytes(b"stop")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    workers = [start() for _ in range(count)]
    while not stopping.is_set():
        wait([woken, *(worker.sentinel for worker in workers)])
        if not stopping.is_set():
            for dead in (worker for worker in workers if not worker.is_alive()):
                mark_process_dead(dead.pid, folder)  # type: ignore[no-untyped-call]
            workers = [worker if worker.is_alive() else start() for worker in workers]
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join()
    for end in (watched, held, woken, wake):
        end.close()


def _work(target: Target, settings: str, listener: socket.socket, watched: Connection) -> None:
    def stop_with_parent() -> None:
        wait([watched])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_with_parent, name="stop-with-parent", daemon=True).start()
    target(settings, listener)

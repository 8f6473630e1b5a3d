"""Many concurrent requests against one target, each on its own connection, and many open streams."""

from __future__ import annotations

import asyncio
import random
import re
import time
from array import array
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from loadtests.connection import Broken, Connection
from loadtests.peers.target import Target
from loadtests.report import quantile

T = TypeVar("T")
_STAMP = re.compile(rb"t=(\d+\.\d+) ")
# The starts of streams are spread over this many seconds.
RAMP_S = 2.0
# Time limit for an answer.
PATIENCE_S = 180.0


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on the fastest event loop, as the load generator competes with its target for the CPU."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def latencies(target: Target, connections: int, n: int, seed: int = 1) -> tuple[list[float], Counter[str]]:
    """Seconds beyond the backend's own time, of `n` requests with `connections` always in flight; and the errors.

    Each asks the backend to take 50 to 150 ms, and the first ones begin apart, so that they do not march in step.
    TimeoutError: they hang.
    """
    rng = random.Random(seed)
    starts = [rng.uniform(0, 0.2) for _ in range(connections)]
    waits = [rng.uniform(0.05, 0.15) for _ in range(n)]
    beyond: list[float] = []
    errors: Counter[str] = Counter()

    async def one(start: float) -> None:
        await asyncio.sleep(start)
        connection: Connection | None = None
        while waits:
            wait = round(waits.pop(), 4)
            request = target.request(target.body(f"#wait={wait}"))
            try:
                if connection is None or not connection.open:
                    connection = await Connection.connect(target.port)
                begun = time.perf_counter()
                reply = await connection.ask(request)
                beyond.append(time.perf_counter() - begun - wait)
                if reply.status != 200:
                    errors[f"status {reply.status}"] += 1
            except (Broken, OSError) as error:
                errors[str(error)] += 1
                connection = None
        if connection is not None:
            connection.close()

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(one(start) for start in starts))
    return beyond, errors


@dataclass
class Held:
    """The results of streams. `late` are the seconds from a chunk's departure at the backend to its arrival here."""

    streams: int
    whole: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    late: array[float] = field(default_factory=lambda: array("f"))

    @property
    def chunks(self) -> int:
        return len(self.late)

    def late_ms(self, q: float) -> float | None:
        found = quantile(self.late, q)
        return None if found is None else 1000 * found

    def share_later(self, seconds: float) -> float:
        return sum(late > seconds for late in self.late) / max(1, self.chunks)


async def hold(
    target: Target, streams: int, seconds: float, every_s: float = 0.2, life_s: tuple[float, float] = (10, 30)
) -> Held:
    """Keep `streams` streams open for `seconds`, a chunk on each `every_s`; one that ends is followed by another.

    At least so many are begun, however late a busy machine comes to it.
    """
    held = Held(streams)
    deadline = time.monotonic() + seconds

    async def one(index: int) -> None:
        rng = random.Random(index)
        await asyncio.sleep(rng.uniform(0, min(RAMP_S, seconds / 2)))
        connection: Connection | None = None
        left = deadline - time.monotonic()
        while True:
            chunks = max(1, int(min(rng.uniform(*life_s), left) / every_s))
            try:
                if connection is None or not connection.open:
                    connection = await Connection.connect(target.port)
                await _one_stream(connection, target, chunks, every_s, held)
            except (Broken, OSError) as error:
                held.errors[str(error) or type(error).__name__] += 1
                connection = None
                await asyncio.sleep(every_s)
            left = deadline - time.monotonic()
            if left <= every_s:
                break
        if connection is not None:
            connection.close()

    async with asyncio.timeout(seconds + PATIENCE_S):
        await asyncio.gather(*(one(index) for index in range(streams)))
    return held


async def _one_stream(connection: Connection, target: Target, chunks: int, every_s: float, held: Held) -> None:
    """Read a stream. Raises Broken if it is not complete."""
    before, rest, done, fault = 0, b"", False, b""

    def part(data: bytes) -> None:
        nonlocal before, rest, done, fault
        now = time.monotonic()
        data = rest + data
        cut = data.rfind(b"\n\n") + 2
        data, rest = data[:cut], data[cut:]
        for stamp in _STAMP.findall(data):
            held.late.append(now - float(stamp))
            before += 1
        if b"[DONE]" in data:
            done = True
        elif b'"error"' in data:
            fault = data[-200:]

    body = target.body(f"#chunks={chunks} #every={every_s}", stream=True)
    reply = await connection.ask(target.request(body), part)
    if reply.status != 200:
        raise Broken(f"status {reply.status}: {reply.body[:120]!r}")
    if fault:
        raise Broken(f"error inside the stream: {fault!r}")
    if not done:
        raise Broken("the stream ended without [DONE]")
    if before != chunks:
        raise Broken(f"{before} of {chunks} chunks")
    held.whole += 1


def largest(found: Sequence[Held], late_s: float, share: float = 0.01) -> int:
    """How many streams were held without an error and with no more than `share` of chunks later than `late_s`."""
    return max((held.streams for held in found if not held.errors and held.share_later(late_s) <= share), default=0)

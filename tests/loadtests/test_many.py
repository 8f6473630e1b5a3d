"""The load generator against a server that says what it is told: whole, cut, late and broken answers are told apart."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

from loadtests.connection import Broken, Connection, Reply
from loadtests.many import Held, hold, largest, latencies
from loadtests.peers import client
from loadtests.peers.target import Target
from loadtests.peers.upstream import Upstream

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="clocks of two processes must be one")


async def asked(pieces: list[bytes]) -> Reply:
    """What a client makes of an answer that comes in these pieces, after which the server hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"?")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        connection = await Connection.connect(server.sockets[0].getsockname()[1])
        try:
            return await connection.ask(b"?")
        finally:
            connection.close()


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, b"HTTP/1.1 200 OK\r\n\r\nhello"])
async def test_answers_are_read_however_they_are_cut(answer: bytes, size: int) -> None:
    reply = await asked([answer[at : at + size] for at in range(0, len(answer), size)])
    assert (reply.status, reply.body) == (200, b"hello")


@pytest.mark.parametrize("answer", [b"", PLAIN[:-1], CHUNKED[:-6], b"HTTP/1.1 200 OK\r\n"])
async def test_an_answer_that_ends_early_is_broken(answer: bytes) -> None:
    with pytest.raises(Broken):
        await asked([answer])


@linux
async def test_streams_are_held_counted_and_timed() -> None:
    with Upstream() as transport:
        held = await hold(Target(transport.port), 20, seconds=1.0, every_s=0.05, life_s=(0.2, 0.4))
    assert held.errors == {} and held.whole >= 20
    assert held.whole <= held.chunks <= held.whole * 0.4 / 0.05
    late = held.late_ms(0.5)
    # The time in a chunk is rounded to a microsecond.
    assert late is not None and late > -0.01


async def test_what_is_no_stream_is_an_error() -> None:
    with Upstream() as transport:
        refused = Target(transport.port, model="#status=429")
        held = await hold(refused, 1, seconds=0.2, every_s=0.05)
    assert held.whole == 0 and next(iter(held.errors)).startswith("status 429")
    gone = await hold(Target(transport.port), 1, seconds=0.2, every_s=0.05)
    assert gone.errors and gone.whole == 0


async def test_the_backends_own_time_is_not_counted() -> None:
    with Upstream() as transport:
        begun = time.monotonic()
        beyond, errors = await latencies(Target(transport.port), connections=5, n=20)
        passed = time.monotonic() - begun
    assert errors == {} and len(beyond) == 20
    # Timers may fire a tick early.
    assert min(beyond) > -0.002
    # Each of the five was busy for no longer than all took, and the backend kept them for 50 ms each time.
    assert sum(beyond) < 5 * passed - 20 * 0.05


def test_one_after_the_other() -> None:
    with Upstream() as transport:
        target = Target(transport.port)
        for stream in (False, True):
            assert len(client.ask(transport.port, target.request(target.body(stream=stream)), 3)) == 3
        with pytest.raises(RuntimeError, match="429"):
            client.ask(transport.port, target.request(target.body("#status=429")), 1)


def test_streams_that_lag_or_break_are_not_held() -> None:
    good, late, broken = Held(100), Held(200), Held(300)
    good.late.extend([0.01] * 99 + [0.5])
    late.late.extend([0.01] * 90 + [0.5] * 10)
    broken.late.extend([0.01] * 100)
    broken.errors["broken off"] += 1
    assert largest([good, late, broken], late_s=0.2) == 100
    assert largest([late], late_s=0.2) == 0
    assert (good.late_ms(0.5), good.share_later(0.2)) == (pytest.approx(10), 0.01)

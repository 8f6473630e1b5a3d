"""A probe that is kept looks like the same answer without log-probabilities, however its bytes arrived."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.reply import EnforcedBudget
from gateway.core.deployment import Deployment
from gateway.core.plan import Plan
from gateway.execution.probe.buffered import BufferedStream
from gateway.families.table import family
from tests.gateway.bounded import QUICK
from tests.gateway.probing import USAGE, piece
from tests.gateway.scripted import sse

PLAN = Plan(Deployment("d", ("http://x/v1",), "m", family("qwen3")), None, {})
TOKEN = st.tuples(st.text("aé 5\n", max_size=4), st.floats(-20, 0))


class Bytes:
    """A reply of these chunks."""

    enforced: EnforcedBudget | None = None
    own_id = None

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts
        self.read_parts = 0

    async def read(self) -> bytes:
        return b"".join(self._parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            self.read_parts += 1
            yield part

    async def drain(self, chunks: AsyncIterator[bytes]) -> None:
        pass

    def close(self) -> None:
        pass


def answer(tokens: list[tuple[str, float]]) -> list[Any]:
    end = piece("", -0.5, "stop")
    return [*(piece(*token) for token in tokens), end, {**end, "choices": [], "usage": USAGE}, "[DONE]"]


def bare(events: list[Any]) -> list[Any]:
    """As a backend sends it that is not asked for log-probabilities: without tokens that have no text."""
    told: list[Any] = []
    for event in events:
        choices = event["choices"] if isinstance(event, dict) else ()
        if choices and not choices[0]["delta"] and not choices[0]["finish_reason"]:
            continue
        told.append({**event, "choices": [{**one, "logprobs": None} for one in choices]} if choices else event)
    return told


def read(data: bytes) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in data.decode().split("\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


@QUICK
@given(st.lists(TOKEN, max_size=12), st.lists(st.integers(1, 60), max_size=40), st.integers(1, 14))
def test_however_it_arrives(tokens: list[tuple[str, float]], sizes: list[int], cap: int) -> None:
    events = answer(tokens)
    data, parts = b"".join(map(sse, events)), []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    reply = Bytes([part for part in (*parts, data) if part])

    async def run() -> tuple[BufferedStream, bytes, int]:
        held = BufferedStream(reply, False, PLAN)
        await held.buffer(lambda heard: len(heard.values) >= cap)
        at = reply.read_parts
        return held, b"".join([part async for part in held.chunks()]), at

    held, told, at = asyncio.run(run())
    assert read(told) == bare(events)
    assert held.logprobs.values == [value for _, value in tokens] + [-0.5]
    probe = held.logprobs.probe(held.finish_reason, cap)
    assert probe is not None and probe.logprobs == held.logprobs.values[:cap]
    whole = asyncio.run(BufferedStream(Bytes([b"".join(map(sse, events))]), False, PLAN).read())
    assert json.loads(whole)["choices"][0]["message"]["content"] == ("".join(text for text, _ in tokens) or None)
    assert at <= reply.read_parts

"""A saturated engine, with and without the price of load: what it buys, and whether anything is refused before thinking
has shrunk.

The embedded engine serves one model to one gateway, under two names: `free`, which thinks as its router says, and
`priced`, where the load has a price; half of what the gateway lets through waits inside the engine. First the engine's
capacity is measured: answers per second of `free` to as many users as it has places, twice over. Then requests come at
random (Poisson) at multiples of that, to the two names in turn: the same prompts, each phase into an engine at rest.
Counted are the right answers within a phase, once it has run for a while.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import aiohttp
import click

from gateway.commands.demo import traffic
from gateway.serving.engine_process import READY
from loadtests.gateway import PATIENCE_S, serve
from loadtests.processes import Process
from router_model.tasks import Prompt, verify

CONFIG = """
[deployments.engine]
url = "{url}"
model = "tiny"
family = "qwen3"
max_context = 2048
ttft_s = 0.05
tpot_s = 0.01
max_in_flight = {places}
max_queue = {queue}
max_wait_s = 60
{models}
"""
MODEL = """
[models.{name}]
deployment = "engine"
router = "tiny"
answer_allowance = 64
policy = {{ kind = "dial", dial = {dial}, default_effort = 64, budgets = [8, 16, 32, 64, 128, 256], probe = "never" }}
levels = {{ minimal = 16, low = 32, medium = 64, high = 128, xhigh = 256, max = "unlimited" }}
"""
PRICES = """
[[models.priced.prices]]
kind = "load"
engine_every_s = 0.2
"""
NAMES = ("free", "priced")
FACTORS = (1.2, 1.5, 2.0)
REFUSED = (429, 503)


@dataclass(slots=True)
class Sample:
    """One request: when it was sent and answered, in seconds of its phase, its status, score and thinking tokens."""

    sent: float
    status: int = 0
    answered: float | None = None
    score: float = 0.0
    thinking: int = 0


@dataclass(slots=True)
class Phase:
    """What came of one name at one rate. Rates are per second; `thinking` is the mean of an answer, `before_refusal`
    that of requests sent before the first one was refused.
    """

    name: str
    factor: float
    right: float = 0.0
    answered: float = 0.0
    refused: int = 0
    first_refused_s: float | None = None
    thinking: float = 0.0
    before_refusal: float = 0.0
    samples: list[Sample] = field(default_factory=list, repr=False)


class Client:
    """Asks one gateway."""

    def __init__(self, url: str, prompts: Sequence[Prompt], session: aiohttp.ClientSession) -> None:
        self._url, self._prompts, self._session = url, prompts, session

    async def ask(self, model: str, number: int, sample: Sample, began: float) -> None:
        prompt = self._prompts[number % len(self._prompts)]
        body: dict[str, Any] = {"model": model, "messages": prompt.messages, "temperature": 0}
        if prompt.tools:
            body["tools"] = prompt.tools
        async with self._session.post(f"{self._url}/v1/chat/completions", json=body) as answer:
            sample.status = answer.status
            content = await answer.json()
        if sample.status != 200:
            return
        sample.answered = time.perf_counter() - began
        message, usage = content["choices"][0]["message"], content["usage"]
        calls = message.get("tool_calls")
        sample.score = verify(prompt, message.get("content"), calls)
        sample.thinking = usage["completion_tokens_details"]["reasoning_tokens"] or 0

    async def capacity(self, users: int, seconds: float) -> float:
        """Answers per second to so many users, each of whom asks again once answered; the first half warms up."""
        began, ended = time.perf_counter(), [0]
        numbers = iter(range(10**9))

        async def user() -> None:
            while time.perf_counter() - began < seconds:
                sample = Sample(0.0)
                await self.ask("free", next(numbers), sample, began)
                ended[0] += sample.answered is not None and sample.answered >= seconds / 2

        await asyncio.gather(*(user() for _ in range(users)))
        return ended[0] / (time.perf_counter() - began - seconds / 2)

    async def phase(self, name: str, factor: float, rate: float, seconds: float, seed: int) -> Phase:
        """Requests at a rate; those that are not answered at the end are given up."""
        rng, began = random.Random(seed), time.perf_counter()
        found, tasks, now, number = Phase(name, factor), [], 0.0, seed * 1000
        while (now := now + rng.expovariate(rate)) < seconds:
            await asyncio.sleep(max(began + now - time.perf_counter(), 0.0))
            sample = Sample(time.perf_counter() - began)
            found.samples.append(sample)
            tasks.append(asyncio.create_task(self.ask(name, number, sample, began)))
            number += 1
        await asyncio.sleep(max(began + seconds - time.perf_counter(), 0.0))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return summed(found, seconds)


def summed(found: Phase, seconds: float) -> Phase:
    """Of the second half of a phase, when its queues are as long as they get; refusals of all of it."""
    done = [one for one in found.samples if one.answered is not None and seconds / 2 <= one.answered <= seconds]
    refused = [one.sent for one in found.samples if one.status in REFUSED]
    first = min(refused, default=seconds)
    found.right = sum(one.score for one in done) / (seconds / 2)
    found.answered = len(done) / (seconds / 2)
    found.refused, found.first_refused_s = len(refused), min(refused, default=None)
    found.thinking = fmean([one.thinking for one in done] or [0])
    earlier = [one.thinking for one in found.samples if one.answered is not None and one.sent < first]
    # The last tenth before it: when the queue was nearly full.
    found.before_refusal = fmean(earlier[-max(len(earlier) // 10, 1) :] or [0])
    return found


async def measure(url: str, places: int, seconds: float, rounds: int, count: int) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=120)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        client = Client(url, traffic(count), session)
        capacity = await client.capacity(2 * places, seconds)
        click.echo(f"capacity: {capacity:.1f} answers per second without a price, {places} at once")
        phases: list[Phase] = []
        for seed in range(rounds):
            for factor in FACTORS:
                for name in NAMES if seed % 2 == 0 else reversed(NAMES):
                    found = await client.phase(name, factor, factor * capacity, seconds, seed + 1)
                    phases.append(found)
                    click.echo(_line(found))
                    await asyncio.sleep(1.0)
    return {"capacity": capacity, "phases": [_plain(one) for one in phases], "ratios": ratios(phases)}


def ratios(phases: Sequence[Phase]) -> dict[str, float]:
    """Right answers per second with the price, as a multiple of those without, by factor."""
    found = {}
    for factor in FACTORS:
        priced, free = (
            fmean(one.right for one in phases if (one.name, one.factor) == (n, factor)) for n in reversed(NAMES)
        )
        found[f"{factor:g}"] = priced / free if free else float("nan")
    return found


def _plain(one: Phase) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if name != "samples"}


def _line(one: Phase) -> str:
    refused = f"{one.refused} refused, the first after {one.first_refused_s:.1f} s" if one.refused else "none refused"
    return (
        f"{one.factor:g} x {one.name:<6} {one.right:6.1f} right and {one.answered:6.1f} answered per second, "
        f"{one.thinking:5.1f} thinking tokens each; {refused}"
    )


@click.command(help=__doc__)
@click.option("--seconds", default=20.0, show_default=True, help="How long each phase lasts.")
@click.option("--rounds", default=2, show_default=True, help="How often each pair of phases is repeated, in turn.")
@click.option("--places", default=8, show_default=True, help="Answers that the engine generates at once.")
@click.option("--queue", default=48, show_default=True, help="Requests that may wait in the gateway.")
@click.option("--dial", default=1.0, show_default=True, help="The position of both models' dial.")
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="File for the figures as JSON.")
def main(seconds: float, rounds: int, places: int, queue: int, dial: float, file: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="thinkgate-load-") as name, ExitStack() as stack:
        folder = Path(name)
        url = engine(stack, folder, places)
        models = "".join(MODEL.format(name=one, dial=dial) for one in NAMES)
        config = CONFIG.format(url=url, places=2 * places, queue=queue, models=models) + PRICES
        process, port = serve(config, folder)
        stack.enter_context(process)
        found = asyncio.run(measure(f"http://127.0.0.1:{port}", places, seconds, rounds, count=1000))
    for factor, ratio in found["ratios"].items():
        click.echo(f"{factor} x: {ratio:.2f} times as many right answers with the price")
    if file is not None:
        file.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def engine(stack: ExitStack, folder: Path, places: int) -> str:
    """The base URL of an embedded engine, which ends with the stack."""
    command = [sys.executable, "-m", "gateway.cli", "engine", "--port", "0", "--max-batch", str(places)]
    process = stack.enter_context(Process([*command, "--max-queue", "1000"], folder, name="engine"))
    ready = re.compile(rf"{READY}(\S+)")
    process.wait_until(lambda: ready.search(process.output()), PATIENCE_S)
    found = ready.search(process.output())
    assert found is not None, "the process must be ready"
    return found.group(1)

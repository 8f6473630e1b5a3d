"""Simulated traffic: prompts that the shipped router was not trained on, with its forecasts and what really came."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.prices import Prices
from gateway.core.record import Record
from gateway.families.table import family
from gateway.routing.policies.worth import best
from gateway.routing.prices.protocol import PriceContext, PriceSetter
from router_model.model import predict

TTFT_S, TPOT_S, ANSWER = 0.2, 0.02, 7.0
EFFORTS = (NO_THINKING, *(Effort(True, budget) for budget in (8, 16, 32, 64, 128, 256)), UNLIMITED)
DEPLOYMENT = Deployment("merged", ("http://127.0.0.1:9/v1",), "tiny", family("qwen3"))
ARM = Arm.of("merged", DEPLOYMENT, DEPLOYMENT, EFFORTS)


class Prompt(NamedTuple):
    """Its forecast, and by effort whether the answer is right and how many tokens were thought."""

    forecast: Forecast
    right: list[float]
    thinking: list[float]


@cache
def prompts() -> tuple[Prompt, ...]:
    predictor = predict.load("tiny").restricted({"tiny"})
    artifact = predictor.artifact
    held_out, heads = artifact.held_out, [i for i, head in enumerate(artifact.heads) if head.model == "tiny"]
    found = []
    most = np.array([0, 8, 16, 32, 64, 128, 256, 1e9])
    tables = (held_out.before.p_correct, held_out.before.tokens, held_out.correct, held_out.tokens)
    for p, expected, right, tokens in zip(*(table[:, heads].tolist() for table in tables), strict=True):
        thinking = np.clip(np.array(expected) - ANSWER, 0, most).tolist()
        efforts = tuple(
            EffortForecast(effort, p[i], thinking[i], ANSWER, TTFT_S + TPOT_S * (thinking[i] + ANSWER))
            for i, effort in enumerate(EFFORTS)
        )
        thought = np.clip(np.array(tokens) - ANSWER, 0, most).tolist()
        found.append(Prompt(Forecast("tiny", efforts, predictor.price_for_dial), right, thought))
    return tuple(found)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Served(NamedTuple):
    """One answer: when it came and ended, its prompt, whether it was right, and what was thought."""

    came: float
    ended: float
    prompt: int
    right: float
    thinking: float


class Simulation:
    """Requests at a rate, to an endless backend or to one of so many places. Runs the real setters."""

    def __init__(self, seed: int, clock: Clock, base: Prices, places: int | None = None, most_queued: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.clock, self.base = clock, base
        self.places, self.most_queued = places, most_queued
        self.setters: tuple[PriceSetter, ...] = ()
        self.arm, self.tpot_s = ARM, TPOT_S
        # How many times what was forecast an answer really costs.
        self.dearer = 1.0
        self.running: list[tuple[float, Served, Record]] = []
        self.refused: list[float] = []
        self.free = [0.0] * (places or 0)
        self.starts: list[float] = []
        self.count = 0

    @property
    def queued(self) -> int:
        while self.starts and self.starts[0] <= self.clock.now:
            heapq.heappop(self.starts)
        return len(self.starts)

    @property
    def in_flight(self) -> int:
        return len(self.running) - self.queued

    def run(self, until: float, rate: Callable[[float], float]) -> Iterator[Served]:
        while True:
            self.clock.now += self.rng.exponential(1 / rate(self.clock.now))
            yield from self._finish()
            if self.clock.now > until:
                return
            self._serve(int(self.rng.integers(len(prompts()))))

    def _finish(self) -> Iterator[Served]:
        now = self.clock.now
        while self.running and self.running[0][0] <= now:
            ended, served, record = heapq.heappop(self.running)
            self.clock.now = ended
            for setter in self.setters:
                setter.observe(record)
            yield served
        self.clock.now = now

    def _serve(self, number: int) -> None:
        now, prompt, id = self.clock.now, prompts()[number], str(self.count)
        self.count += 1
        if self.places is not None and self.queued >= self.most_queued:
            self.refused.append(now)
            return
        context = PriceContext(id, Call(id, "chat", "m", {}), self.arm, id)
        prices = self.base
        for setter in self.setters:
            prices += setter.price(context)
        chosen = best(prompt.forecast.efforts, prices)
        place = EFFORTS.index(chosen.effort)
        for setter in self.setters:
            setter.decided(context, Decision(chosen.effort, "router", 1.0, prices, prompt.forecast))
        thinking = prompt.thinking[place]
        begun = now
        if self.places is not None:
            begun = max(now, heapq.heappop(self.free))
            if begun > now:
                heapq.heappush(self.starts, begun)
        ended = begun + TTFT_S + self.tpot_s * (thinking + ANSWER)
        if self.places is not None:
            heapq.heappush(self.free, ended)
        first_ms = (ended - self.tpot_s * ANSWER - now) * 1000
        used = round(thinking)
        record = Record(id, id, now, "chat", 200, used=used, latency=ended - now, first_answer_ms=first_ms)
        price = self.arm.deployment_for(chosen.effort).pricing.cost(0, round(thinking + ANSWER))
        record = record._replace(cost=price * self.dearer)
        heapq.heappush(self.running, (ended, Served(now, ended, number, prompt.right[place], thinking), record))


@cache
def tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """[prompts, efforts]: P(correct) and tokens as forecast, right answers and thinking tokens as they were."""
    efforts = [prompt.forecast.efforts for prompt in prompts()]
    return (
        np.array([[one.p_correct for one in row] for row in efforts]),
        np.array([[one.tokens for one in row] for row in efforts]),
        np.array([prompt.right for prompt in prompts()]),
        np.array([prompt.thinking for prompt in prompts()]),
    )


def fixed(price: float, numbers: list[int]) -> tuple[float, float]:
    """What one price all the time would have brought these prompts: the share right, and all that is thought."""
    p, tokens, right, thinking = tables()
    chosen = (p - price * tokens).argmax(axis=1)[numbers]
    return float(right[numbers, chosen].mean()), float(thinking[numbers, chosen].sum())

"""What price setters are for, in simulated traffic: a budget is kept, a latency target is met, a queue is relieved."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import mean
from typing import NamedTuple

import numpy as np
import pytest

from gateway.core.arm import Arm
from gateway.core.load import Load
from gateway.core.prices import FREE, Prices
from gateway.core.serving_limits import Pricing
from gateway.routing.prices.load import LoadSettings
from gateway.routing.prices.pace import PaceSettings
from gateway.routing.prices.protocol import Surroundings
from gateway.routing.prices.slo import SloSettings
from gateway.routing.prices.spending_book import MemoryBook
from tests.gateway.traffic import ANSWER, DEPLOYMENT, EFFORTS, TPOT_S, Clock, Simulation, fixed, prompts

HOUR = 3600.0
SHARES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
# Of tokens, on the tiny models: what the demo's dial asks at .65.
DIAL = Prices(0.0005)


class Budget(NamedTuple):
    """What is counted, what happens in the last hour, how long a token takes, and how often requests come."""

    unit: str
    shock: str
    tpot_s: float = TPOT_S
    rate: float = 0.5


def arm(output_price: float) -> Arm:
    deployment = replace(DEPLOYMENT, pricing=Pricing(output_price=output_price))
    return Arm.of("merged", deployment, deployment, EFFORTS)


CHEAP, DEAR = arm(10.0), arm(100.0)
# Of a token, in dollars, where it is cheap.
DOLLAR = 1e-5


def target_of(budget: Budget, share: float) -> PaceSettings:
    """Of what full thinking would spend, beside the answers: those must fit, also at the price after a shock."""
    thinking = share * budget.rate * HOUR * mean(prompt.thinking[-1] for prompt in prompts())
    if budget.unit == "tokens":
        return PaceSettings(kind="pace", thinking_tokens=thinking)
    answers = budget.rate * HOUR * ANSWER * (10 if budget.shock in SHOCKS_OF_PRICE else 2)
    return PaceSettings(kind="pace", dollars=DOLLAR * (1.2 * answers + thinking))


SHOCKS_OF_PRICE = ("price", "forecast")


def paced(budget: Budget, share: float, hours: int, seed: int) -> tuple[list[float], float, float]:
    """Spending by window, as a share of the target; the share right, and that at the best fixed price in hindsight.

    In the last hour ten times as many requests come for a while, or all costs ten times as much: by its price, or
    though nothing has forecast it. Setters are made anew from time to time, as a reload does.
    """
    clock, book, settings = Clock(), MemoryBook(), target_of(budget, share)
    simulation = Simulation(seed, clock, FREE)
    simulation.arm, simulation.tpot_s = CHEAP, budget.tpot_s
    begin, end = (hours - 0.75) * HOUR, (hours - 0.65) * HOUR
    spent, each = [0.0] * (hours + 100), Counter[float]()

    def rate(now: float) -> float:
        if now // 600 not in each:
            simulation.setters = (settings.setter(Surroundings("m", has_dollars=True, book=book, clock=clock)),)
        each[now // 600] += 1
        if now >= begin and budget.shock in SHOCKS_OF_PRICE:
            simulation.arm, simulation.dearer = (DEAR, 1) if budget.shock == "price" else (CHEAP, 10)
        return budget.rate * (10 if budget.shock == "traffic" and begin <= now < end else 1)

    served = [*simulation.run(hours * HOUR, rate)]
    for one in served:
        dollars = DOLLAR * (10 if budget.shock in SHOCKS_OF_PRICE and one.came >= begin else 1)
        amount = round(one.thinking) if budget.unit == "tokens" else dollars * round(one.thinking + ANSWER)
        spent[int(one.ended // HOUR)] += amount
    calm = [one for one in served if one.ended < (hours - 1) * HOUR]
    by_hour = [[one.prompt for one in calm if one.ended // HOUR == hour] for hour in range(hours - 1)]
    low, high = 1e-8, 1.0
    for _ in range(16):
        price = (low * high) ** 0.5
        over = max(cost(budget, price, numbers) for numbers in by_hour) > settings.target
        low, high = (price, high) if over else (low, price)
    hindsight = fixed(high, [one.prompt for one in calm])[0]
    return [one / settings.target for one in spent[:hours]], mean(one.right for one in calm), hindsight


def cost(budget: Budget, price: float, numbers: list[int]) -> float:
    """What these prompts spend at a fixed price of a token."""
    thinking = fixed(price, numbers)[1]
    return thinking if budget.unit == "tokens" else DOLLAR * (thinking + ANSWER * len(numbers))


# At ten times the price a single request is a large part of a small budget: so more of them come.
BUDGETS = {
    "traffic": Budget("tokens", "traffic"),
    "traffic-in-dollars": Budget("dollars", "traffic"),
    "price": Budget("dollars", "price", rate=2.0),
    "forecast": Budget("dollars", "forecast", rate=2.0),
    # An answer takes four minutes on average, and up to twenty.
    "long-answers": Budget("tokens", "traffic", tpot_s=5.0),
    "price-and-long-answers": Budget("dollars", "price", tpot_s=5.0, rate=2.0),
}


def check(budget: Budget, shares: tuple[float, ...], hours: int, seed: int) -> None:
    worst, lost = 0.0, []
    for share in shares:
        spent, right, hindsight = paced(budget, share, hours, seed)
        worst = max(worst, max(spent) - 1)
        lost.append(hindsight - right)
    print(f"{budget}: {100 * worst:.2f} % over target; {100 * max(lost):.2f} points below the best fixed price")
    assert worst <= 0.005
    assert max(lost) <= 0.01


def test_a_pace_is_kept_in_every_window_and_buys_what_the_best_fixed_price_buys() -> None:
    check(BUDGETS["traffic"], SHARES, 2, 0)


@pytest.mark.parametrize("name", ["traffic-in-dollars", "price"])
def test_a_pace_in_dollars_is_kept_at_ten_times_the_traffic_or_price(name: str) -> None:
    check(BUDGETS[name], (0.3,), 2, 1)


@pytest.mark.long
@pytest.mark.parametrize("name", BUDGETS)
def test_a_pace_is_kept_whatever_happens(name: str) -> None:
    check(BUDGETS[name], SHARES, 3 if BUDGETS[name].rate < 1 else 2, 0)


@pytest.mark.parametrize(
    ("settings", "after_s"),
    [
        (SloSettings(kind="slo", latency_p95_s=2.0), 0.0),
        (SloSettings(kind="slo", first_answer_p95_s=2.0), TPOT_S * ANSWER),
    ],
    ids=["whole", "first-answer"],
)
def test_a_latency_target_is_met_again_within_two_minutes_of_a_load_step(settings: SloSettings, after_s: float) -> None:
    """`after_s` is what of an answer comes after what the target is about."""
    target, clock, worst = settings.target_s, Clock(), 0.0
    simulation = Simulation(1, clock, DIAL, places=8, most_queued=1000)
    simulation.setters = (settings.setter(Surroundings("m", clock=clock)),)
    served = [*simulation.run(1500, lambda now: 9.0 if 500 <= now < 1100 else 4.5)]
    free = Simulation(1, Clock(), DIAL, places=8, most_queued=1000)
    without = [*free.run(1500, lambda now: 9.0 if 500 <= now < 1100 else 4.5)]
    for begin, end in ((300, 500), (620, 860), (860, 1100), (1220, 1500)):
        slow = p95([one.ended - one.came - after_s for one in served if begin <= one.ended < end])
        worst = max(worst, slow / target)
    print(f"p95 at most {worst:.3f} of the target")
    assert worst <= 1.1
    assert p95([one.ended - one.came for one in without if 620 <= one.ended < 1100]) > 2 * target, "it would not be met"


def p95(seconds: list[float]) -> float:
    return float(np.quantile(seconds, 0.95))


def test_under_load_thinking_shrinks_before_anything_is_refused() -> None:
    places, most_queued = 8, 60
    capacity = places / (0.2 + 0.02 * (7 + mean(prompt.thinking[-1] for prompt in prompts())))
    for factor in (1.2, 1.5, 2.0):
        clock = Clock()
        priced, free = (Simulation(3, each, FREE, places, most_queued) for each in (clock, Clock()))
        priced.setters = (LoadSettings(kind="load").setter(loaded(clock, priced, places, most_queued)),)
        with_price, without = ([*each.run(600, lambda now, r=factor * capacity: r)] for each in (priced, free))
        gain = sum(one.right for one in with_price) / sum(one.right for one in without)
        first = priced.refused[0] if priced.refused else 600.0
        before = mean(one.thinking for one in with_price if one.came < first)
        print(f"{factor} x: {gain:.2f} times as many right; refused {len(priced.refused)}, {len(free.refused)} without")
        assert len(priced.refused) < len(free.refused) and before < 0.9 * mean(one.thinking for one in without)
    assert gain >= 1.3


def loaded(clock: Clock, simulation: Simulation, places: int, most_queued: int) -> Surroundings:
    def load_of(name: str) -> Load:
        return Load(simulation.in_flight, simulation.queued, places, most_queued, answer_s=1.1, answer_tokens=45.0)

    return Surroundings("m", gated=True, load_of=load_of, clock=clock)

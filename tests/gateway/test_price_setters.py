"""What price setters are for, in simulated traffic: a budget is kept, a latency target is met, a queue is relieved."""

from __future__ import annotations

from statistics import mean

import numpy as np
import pytest

from gateway.core.load import Load
from gateway.core.prices import FREE, Prices
from gateway.routing.prices.load import LoadSettings
from gateway.routing.prices.pace import PaceSettings
from gateway.routing.prices.protocol import Surroundings
from gateway.routing.prices.slo import SloSettings
from tests.gateway.traffic import ANSWER, TPOT_S, Clock, Simulation, fixed, prompts

HOUR = 3600.0
SHARES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
# Of tokens, on the tiny models: what the demo's dial asks at .65.
DIAL = Prices(0.0005)


def paced(share: float, rate: float, hours: int, seed: int) -> tuple[list[float], float, float]:
    """Spending by window, as a share of the target; the share right, and that at the best fixed price in hindsight.

    In the last hour ten times as many requests come for a while.
    """
    target = share * rate * HOUR * mean(prompt.thinking[-1] for prompt in prompts())
    clock = Clock()
    simulation = Simulation(seed, clock, FREE)
    simulation.setters = (PaceSettings(kind="pace", thinking_tokens=target).setter(Surroundings("m", clock=clock)),)
    begin, end = (hours - 0.75) * HOUR, (hours - 0.65) * HOUR
    served = [*simulation.run(hours * HOUR, lambda now: rate * (10 if begin <= now < end else 1))]
    spent = [0.0] * (hours + 1)
    for one in served:
        spent[int(one.ended // HOUR)] += round(one.thinking)
    calm = [one for one in served if one.ended < (hours - 1) * HOUR]
    by_hour = [[one.prompt for one in calm if one.ended // HOUR == hour] for hour in range(hours - 1)]
    low, high = 1e-7, 1.0
    for _ in range(14):
        price = (low * high) ** 0.5
        over = max(fixed(price, numbers)[1] for numbers in by_hour) > target
        low, high = (price, high) if over else (low, price)
    hindsight = fixed(high, [one.prompt for one in calm])[0]
    return [one / target for one in spent[:hours]], mean(one.right for one in calm), hindsight


@pytest.mark.parametrize(
    ("rate", "hours", "seeds"), [(0.5, 2, 1), pytest.param(0.5, 4, 3, marks=pytest.mark.long)], ids=["some", "many"]
)
def test_a_pace_is_kept_in_every_window_and_buys_what_the_best_fixed_price_buys(
    rate: float, hours: int, seeds: int
) -> None:
    worst, lost = 0.0, []
    for seed in range(seeds):
        for share in SHARES:
            spent, right, hindsight = paced(share, rate, hours, seed)
            worst = max(worst, max(spent) - 1)
            lost.append(hindsight - right)
    print(f"at most {100 * worst:.2f} % over target; {100 * max(lost):.2f} points below the best fixed price at most")
    assert worst <= 0.005
    assert max(lost) <= 0.01


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
        return Load(simulation.in_flight, simulation.queued, places, most_queued)

    return Surroundings("m", gated=True, load_of=load_of, clock=clock)

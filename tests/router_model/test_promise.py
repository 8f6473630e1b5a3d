"""What a router promises from its trial: kept over random halves, safe where nothing is known, none where it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from router_model.decision import guarantee, risk
from router_model.decision.holdout import HoldoutTrial
from router_model.decision.probe_policy import ProbeViews
from router_model.decision.risk import Contract

CONTRACT = Contract(0.02)


def trial(
    n: int = 2000, seed: int = 0, hopeless: float = 0.2, strange: float = 0.0, sharp: float = 6.0
) -> HoldoutTrial:
    """Easy, hard and hopeless prompts; no thinking, a short thought and a full one; forecasts that err a little."""
    rng = np.random.default_rng(seed)
    kind = rng.random(n)
    never = kind < hopeless
    chance = np.stack([0.9 * rng.beta(0.4, 0.4, n), np.zeros(n), np.full(n, 0.97)], axis=1)
    chance[:, 1] = (chance[:, 0] + chance[:, 2]) / 2
    chance[never] = 0.01
    noisy = 1 / (1 + np.exp(-(np.log(chance / (1 - chance)) + rng.normal(0, 3 / sharp, chance.shape))))
    tokens = np.stack([np.full(n, 4.0), np.full(n, 30.0), rng.integers(40, 200, n).astype(float)], axis=1)
    correct = (rng.random((n, 1)) < chance).astype(float)
    seen = ProbeViews(noisy, tokens, noisy, tokens, np.repeat(noisy[:, :1], 3, axis=1), (rng.random(n) < strange) * 1.0)
    return HoldoutTrial((0, 1, 2), seen, correct, tokens, "never")


def part(whole: HoldoutTrial, rows: np.ndarray) -> HoldoutTrial:
    seen = ProbeViews(*(getattr(whole.seen, name)[rows] for name in whole.seen.__slots__))
    return replace(whole, seen=seen, correct=whole.correct[rows], tokens=whole.tokens[rows])


def test_promises_are_broken_in_at_most_one_of_twenty_splits() -> None:
    """A thousand of them: the price of one half, judged by all prompts, or on the other half where it is promised."""
    whole, prices = trial(n=1200), guarantee.PRICES[::6]
    correct, tokens = (np.stack(part, axis=1) for part in zip(*map(whole.bought, prices.tolist()), strict=True))
    reference, dearest = whole.correct[:, -1], whole.tokens[:, -1]
    for contract in (Contract(0.03), Contract(0.03, horizon=600)):
        found = risk.trial(correct, tokens, reference, dearest, prices, contract, 1000)
        assert found.bought > 0.9 and found.broken_in_the_long_run <= 0.05
        assert contract.horizon is None or found.broken <= 0.05
    assert guarantee.of(whole, CONTRACT).price == risk.price_for(
        np.stack([whole.bought(price)[0] for price in guarantee.PRICES.tolist()], axis=1),
        reference,
        guarantee.PRICES,
        CONTRACT,
    )


def harmed(whole: HoldoutTrial, price: float) -> float:
    return float((whole.bought(price)[0] < whole.correct[:, -1]).mean())


def test_what_is_said_of_a_promise_is_what_it_did() -> None:
    whole = trial()
    found = guarantee.of(whole, CONTRACT)
    assert found.price is not None and found.price > 0 and found.prompts == 2000
    assert found.harmed == round(2000 * harmed(whole, found.price))
    assert found.harmed / 2000 < found.bound <= 0.02 and found.loss <= found.harmed / 2000
    assert found.saved == pytest.approx(1 - whole.bought(found.price)[1].sum() / whole.tokens[:, -1].sum())
    assert found.saved > 0.2


def test_hopeless_requests_are_given_up_early() -> None:
    """Nobody is harmed where thinking fails too: at the contract's price such requests get no full thought."""
    whole = trial(sharp=60)
    price = guarantee.of(whole, CONTRACT).price
    assert price is not None
    choice = whole.choices(price)[1]
    hopeless = whole.seen.p_before[:, -1] < 0.1
    assert hopeless.mean() > 0.1 and (choice[hopeless] == 0).mean() > 0.99
    assert (choice[~hopeless] > 0).mean() > 0.2


@pytest.mark.parametrize(
    ("whole", "contract"),
    [
        (trial(n=100), Contract(0.01)),  # too few prompts: even no harm in 100 says nothing about one in a hundred
        (trial(n=2000, sharp=0.3), Contract(0.01)),  # a router that knows little
        (part(trial(), np.arange(0)), CONTRACT),
    ],
)
def test_where_nothing_can_be_promised_nothing_is(whole: HoldoutTrial, contract: Contract) -> None:
    assert guarantee.of(whole, contract).price is None


def test_strange_requests_cost_the_full_thought_and_harm_nobody() -> None:
    known, strange = guarantee.of(trial(), CONTRACT), guarantee.of(trial(strange=1.0), CONTRACT)
    assert strange.price is not None and (strange.harmed, strange.saved) == (0, 0.0)
    assert strange.saved < guarantee.of(trial(strange=0.5), CONTRACT).saved < known.saved


def test_a_horizon_and_a_stricter_confidence_ask_for_more() -> None:
    whole = trial()

    def price(contract: Contract, net: bool = False) -> float:
        found = guarantee.of(whole, contract, net).price
        assert found is not None
        return found

    assert price(Contract(0.02, horizon=500)) <= price(CONTRACT) >= price(Contract(0.02, 0.999))
    assert price(Contract(0.05)) > price(CONTRACT)
    assert price(CONTRACT, net=True) > 0

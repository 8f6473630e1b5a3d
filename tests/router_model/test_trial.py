"""The trial that an artifact carries: what the served policy bought at any price, and the dial read off it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from router_model.data import outcome_reader
from router_model.data.outcomes import Arm
from router_model.decision import dial, holdout
from router_model.decision.holdout import HeldOut, HeldOutForecasts
from router_model.decision.probe_policy import Ask
from router_model.evaluation import probing
from router_model.model import predict
from router_model.model.predict import Predictor
from router_model.training import selection


@pytest.fixture(scope="module")
def predictor(artifact_path: Path) -> Predictor:
    return predict.load(artifact_path)


def made_up(n: int = 500, probes: bool = True) -> HeldOut:
    """Two efforts, without and with a thought of 100 tokens that is right nine times in ten."""
    rng = np.random.default_rng(0)
    easy = rng.random(n)
    p = np.stack([easy, np.full(n, 0.9)], axis=1).astype(np.float32)
    tokens = np.stack([np.full(n, 2.0), np.full(n, 102.0)], axis=1).astype(np.float32)
    real = (rng.random((n, 2)) < p).astype(np.float32)
    sure = p.copy()
    hint = rng.random(n)
    sure[:, 0] = np.where(real[:, 0] > 0, 1 - hint / 2, hint / 2)
    return HeldOut(
        HeldOutForecasts(p, tokens),
        {0: HeldOutForecasts(sure, tokens)} if probes else {},
        np.zeros(n, np.float32),
        real,
        tokens.copy(),
    )


@pytest.mark.parametrize("ask", ["auto", "always", "never"])
def test_the_dial_inverts_what_prices_buy(ask: Ask) -> None:
    found = holdout.of(made_up(), [0, 1], np.tile(np.linspace(0.05, 0.95, 9), (500, 1)), ask)
    table = dial.table(found)
    for x in (0.3, 0.5):
        spent = found.bought(table.price(x))[1].mean()
        assert (spent - 2) / 100 == pytest.approx(x, abs=0.08)


def test_thrown_away_probes_are_charged() -> None:
    found = holdout.of(made_up(), [0, 1], np.tile([0.05, 0.95], (500, 1)), "always")
    correct, tokens = found.bought(0.001)
    _, choice = found.choices(0.001)
    assert set(tokens[choice == 1]) == {104.0} and set(tokens[choice == 0]) == {2.0}
    assert correct[choice == 0].mean() > 0.9
    assert found.bought(np.inf)[1].mean() == 2.0


def test_nobody_is_asked_where_no_probe_is_known() -> None:
    found = holdout.of(made_up(probes=False), [0, 1], np.zeros((500, 0)), "auto")
    assert found.ask == "never" and not found.choices(0.001)[0].any()


def test_prompts_that_were_not_run_at_every_effort_are_left_out() -> None:
    held_out = made_up()
    held_out.correct[:100, 1] = np.nan
    held_out.tokens[100:200, 1] = np.nan
    found = holdout.of(held_out, [0, 1], np.tile([0.05, 0.95], (500, 1)), "auto")
    assert len(found) == 400 and (found.tokens[:100, 1] == 102).all()
    assert len(holdout.of(held_out, [0], np.zeros((500, 0)), "auto")) == 500


def test_an_artifact_carries_its_trial(predictor: Predictor, table_path: Path) -> None:
    """Efforts in the order of a policy, real outcomes, and the same for a part of the heads."""
    found = predictor.trial()
    assert found.ask == "auto" and [predictor.heads[i].budget for i in found.efforts] == [None, 8, 16, 32, 64, None]
    assert len(found) == len(outcome_reader.read([table_path]))
    part = predictor.restricted({"m"}).trial(efforts=[0, found.efforts[-1]])
    assert (part.correct == found.correct[:, [0, -1]]).all() and part.ask == "auto"
    assert (part.seen.p_after == found.seen.p_after[:, [0, -1]]).all()
    assert 0.9 < part.correct[:, 1].mean() <= 1.0
    never = predictor.trial("never")
    assert not never.choices(0.001)[0].any() and never.seen.p_before.shape == found.seen.p_before.shape


def test_forecasts_of_the_trial_are_of_prompts_unseen(predictor: Predictor, table_path: Path) -> None:
    """Their trees had not seen these prompts, so they know less of them than the final ones do."""
    kept = selection.trainable(outcome_reader.read([table_path]), lambda line: None)
    arms = [Arm("m", "nothink"), Arm("m", "think")]
    chosen = kept.columns(arms)
    seen = probing.views(predictor, chosen, [0, 5])
    assert seen is not None
    found = predictor.trial(efforts=[0, 5])

    def brier(p: np.ndarray, real: np.ndarray) -> float:
        return float(np.square(p - real).mean())

    assert brier(found.seen.p_before[:, 0], found.correct[:, 0]) > brier(seen.p_before[:, 0], chosen.correct[:, 0])


def test_a_dial_buys_more_the_higher_it_is(predictor: Predictor) -> None:
    """With the policy that is served: what it asks first is charged, too."""
    found = predictor.trial()
    spent = [found.bought(predictor.price_for_dial(x))[1].mean() for x in (0.0, 0.3, 0.6, 0.9)]
    assert spent == sorted(spent) and spent[0] == found.tokens[:, 0].mean()
    asked, choice = found.choices(predictor.price_for_dial(0.6))
    assert asked.any() and len(set(choice.tolist())) > 1


def test_large_counts_stay_finite() -> None:
    held_out = made_up()
    held_out.tokens[:, 1] = 1e6
    assert np.isfinite(held_out.rounded().tokens).all()
    arrays = held_out.arrays()
    assert HeldOut.of_arrays(arrays, [0]).after.keys() == {0}
    with pytest.raises(ValueError, match="differ in shape"):
        HeldOut.of_arrays(arrays | {"trial0_p": arrays["trial0_p"][:, :1]}, [0])
    with pytest.raises(KeyError):
        HeldOut.of_arrays(arrays, [0, 1])

"""What trees learn from all terms together, from all models together, and whether text is trusted on new work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from router_model.data.outcome_reader import from_rows
from router_model.data.outcomes import GENERIC
from router_model.features.request import Features, featurize
from router_model.model.artifact import Head
from router_model.model.predict import OOD_UNTRUSTED, Predictor
from router_model.training import calibration, recipes, selection, text_projection, train, transfer_check
from router_model.training.settings import Settings
from tests.router_model import tables
from tests.router_model.conftest import SMALL


def _read(texts: list[str]) -> list[Features]:
    return [featurize([{"role": "user", "content": text}]) for text in texts]


def test_fitted_directions_say_what_words_tell_and_never_of_the_prompt_itself() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(200) < 0.5
    words = [("tricky" if h else "plain") + f" word{rng.integers(5)}" for h in hard]
    correct = np.stack([~hard, np.ones(200)], axis=1).astype(float)
    features = _read(words)
    found = text_projection.fit(features, correct, free=3, fitted=1, least_uses=2, seed=0)
    assert found.fitted == 1 and found.projection.shape == (len(found.vocabulary), 4)
    x, novelty = text_projection.rows(found, [features, features], correct, [str(i) for i in range(200)], seed=0)
    assert x.shape[0] == 400 and np.array_equal(x[:200], x[200:]) and not novelty.any()
    assert abs(np.corrcoef(x[:200, -1], hard)[0, 1]) > 0.9
    # Where each kind is a group of its own, nothing can be known of it from the others.
    x, _ = text_projection.rows(found, [features], correct, ["hard" if h else "easy" for h in hard], seed=0)
    assert abs(np.corrcoef(x[:, -1], hard)[0, 1] - 1) > 0.5


def test_directions_without_terms_or_outcomes() -> None:
    few = _read(["one", "two"])
    found = text_projection.fit(few, np.ones((2, 1)), free=4, fitted=2, least_uses=5, seed=0)
    x, _ = text_projection.rows(found, [few], np.ones((2, 1)), ["a", "b"], seed=0)
    assert not found.vocabulary and np.isfinite(x).all()


def test_a_noisy_head_leans_on_what_holds_for_all_models() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=2000)
    outputs = np.column_stack([rng.normal(size=2000), 2 * truth])
    correct = np.column_stack([rng.random(2000) < 1 / (1 + np.exp(-2 * truth))] * 2).astype(float)
    correct[:5, 0] = np.nan
    shares = calibration.shares(outputs, correct, [Head("m", False), Head(GENERIC, False)])
    assert abs(shares[0, 0]) < 0.2 and shares[1, 0] == pytest.approx(1, abs=0.2)
    alone = calibration.shares(outputs, correct, [Head("m", False), Head("n", False)])
    assert alone[1, 0] == 0 and alone[0, 1] == 0


@pytest.mark.parametrize(("useful", "kinds", "trusted"), [(1.0, 40, True), (0.0, 40, False), (1.0, 2, False)])
def test_text_is_trusted_on_new_work_where_that_was_shown(useful: float, kinds: int, trusted: bool) -> None:
    rng = np.random.default_rng(2)
    kind = rng.integers(kinds, size=800)
    hard = rng.random(800)
    correct = np.column_stack([rng.random(800) > hard, np.ones(800)]).astype(float)
    said = np.column_stack([useful * (1 - hard) + (1 - useful) * rng.random(800), np.ones(800)])
    assert transfer_check.holds(said, correct, kind) is trusted


def test_one_lucky_kind_of_work_shows_nothing() -> None:
    rng = np.random.default_rng(3)
    kind = rng.integers(6, size=900)
    hard = rng.random(900)
    correct = np.column_stack([rng.random(900) > hard, np.ones(900)]).astype(float)
    said = np.column_stack([np.where(kind == 0, 1 - hard, hard), np.ones(900)])
    assert not transfer_check.holds(said, correct, kind)


def test_who_expects_new_tasks_trusts_all_requests_or_none() -> None:
    rows = [
        row | {"dataset": f"d{k}", "phrasing": None}
        for k in range(4)
        for row in tables.rows(60, seed=k, models=("m", "n"), name=f"d{k}")
    ]
    table = selection.with_generic(from_rows(rows))
    settings = replace(SMALL, expects="tasks", pooled=True, fitted=2, attacked=0)
    predictor = Predictor(train.train(table, "t", settings, lambda line: None))
    readings = [predictor.read([{"role": "user", "content": text}]) for text in ("Add these: 1 and 2", "Et tu, Brute?")]
    assert len({reading.ood_probability > OOD_UNTRUSTED for reading in readings}) == 1
    few = Predictor(train.train(table.rows(np.arange(60)), "t", settings, lambda line: None))
    assert few.read([{"role": "user", "content": "Add these: 1 and 2"}]).ood_probability > OOD_UNTRUSTED


def test_the_recipe_with_less_error_is_taken() -> None:
    table = from_rows(tables.rows(60))
    said: list[str] = []
    assert recipes.chosen("steady", "tasks")(table, said.append).fitted and not said
    sharp = recipes.chosen("sharp", "phrasings", {"folds": 3})(table, said.append)
    assert sharp == Settings(folds=3)
    chosen = recipes.chosen("auto", "phrasings", {"attacked": 0})(table, said.append)
    losses = [train.loss(table, replace(found, attacked=0)) for found in recipes.RECIPES.values()]
    assert chosen.pooled == (losses[1] < losses[0]) and "squared error" in said[0]

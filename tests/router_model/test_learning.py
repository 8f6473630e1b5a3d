"""Learning from observations: how much each counts, and what poisoned ones can do."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from router_model.learning import promotion, weights
from router_model.learning.drift import Watched, drift
from router_model.learning.learner import Learned, LearnSettings, learn
from router_model.learning.observation import Judgement, Observation, combined
from router_model.learning.promotion import Trial
from router_model.learning.source_weights import SourceWeight
from router_model.model import kept_features
from router_model.model.predict import Predictor, load
from router_model.tasks import generate


def test_features_are_kept_without_a_word() -> None:
    predictor = load("tiny")
    reading = predictor.read([{"role": "user", "content": "What is 17 + 25? Secret: swordfish"}])
    text = predictor.kept(reading)
    found = kept_features.load(text)
    assert found is not None and found.encoding == predictor.encoding
    again = predictor.again(found.row, found.novelty)
    before, after = predictor.scores(reading), predictor.scores(again)
    np.testing.assert_allclose(before.p_correct, after.p_correct, atol=0.02)
    assert "swordfish" not in text
    for damaged in ("", "x", "abc.", "abc.!!!", text[:-3], f"{predictor.encoding}.AAA="):
        assert kept_features.load(damaged) is None


def test_what_was_answered_once_each_makes_a_dial_all_the_same() -> None:
    whole = load("tiny").restricted({"tiny"})
    held_out = whole.artifact.held_out
    once = held_out.correct.copy()
    once[np.arange(len(once)) % 2 == 0, 1:] = np.nan
    once[np.arange(len(once)) % 2 == 1, 0] = np.nan
    bandit = Predictor(replace(whole.artifact, held_out=replace(held_out, correct=once)))
    assert not len(bandit.trial("never"))
    assert bandit.price_for_dial(0.5, "never") == pytest.approx(whole.price_for_dial(0.5, "never"), rel=0.2)
    assert not len(bandit.trial("never")), "promises still rest on what was measured"


def test_sources_that_contradict_each_other_meet_by_weight() -> None:
    known = {"verifier:exact": SourceWeight("verifier:exact", 1.0, 0), "person": SourceWeight("person", 0.5, 0)}
    said = [Judgement("verifier:exact", 1.0, 1.0, 0.0), Judgement("person", 0.0, 1.0, 0.0)]
    assert combined(said, known) == (pytest.approx(2 / 3), 1.0)
    assert combined(said[1:], known) == (0.0, 0.5)
    assert combined([], known) is None
    assert combined([Judgement("person", float("nan"), 1.0, 0.0)], known) is None


def test_weights_forget_and_bound_what_one_prompt_or_key_can_do() -> None:
    day = 86_400.0
    aged = weights.by_age(np.array([0.0, 30 * day, 60 * day, 90 * day]), 60 * day, 30 * day)
    np.testing.assert_allclose(aged, [0.25, 0.5, 1.0, 1.0], err_msg="what is yet to come, by a clock, is now")
    groups = ["same"] * 10_000 + [f"other {i}" for i in range(100)]
    found = weights.capped(np.ones(len(groups)), groups, 20.0, 0.01)
    assert found[:10_000].sum() == pytest.approx(20.0) and (found[10_000:] == 1).all()
    keys = ["loud"] * 900 + ["a"] * 50 + ["b"] * 50
    found = weights.capped(np.ones(len(keys)), keys, 0.0, 0.4)
    assert found[:900].sum() / found.sum() < 0.41
    chosen = weights.thinned(np.array([1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.0]))
    assert len(chosen) == 3 and chosen[0] == 0
    assert not len(weights.thinned(np.zeros(3)))


def trial(gain: float, n: int, seed: int, differs: float = 0.3) -> Trial:
    """Units of which the new version decides a part differently, and better by `gain`."""
    rng = np.random.default_rng(seed)
    differ = rng.random(n) < differs
    served = (rng.random(n) < 0.5).astype(float)
    candidate = np.where(rng.random(n) < abs(gain), float(gain > 0), served)
    assigned = (rng.random(n) < 0.1).astype(np.int64)
    seen = np.where((assigned == 1) & differ, candidate, served)
    sampled = rng.random(n) < 0.1
    units = [str(i) for i in range(n)]
    return Trial(units, differ, sampled, served, candidate, assigned, np.full(n, 0.1), seen, np.full(n, 0.5))


def test_only_what_is_surely_better_is_promoted() -> None:
    better = [promotion.evidence(trial(0.6, 3000, seed), 0.95) for seed in range(20)]
    assert sum(map(promotion.is_better, better)) >= 19
    same = [promotion.evidence(trial(0.0, 3000, seed), 0.95) for seed in range(20)]
    assert not any(map(promotion.is_better, same))
    worse = [promotion.evidence(trial(-0.6, 3000, seed), 0.95) for seed in range(20)]
    assert sum(map(promotion.is_worse, worse)) >= 19 and not any(map(promotion.is_better, worse))
    few = promotion.evidence(trial(1.0, 30, 1), 0.95)
    assert [one.estimate for one in few] == [None, None] and not promotion.is_better(few)


def test_changes_of_traffic_are_found_and_chance_is_not() -> None:
    rng = np.random.default_rng(5)

    def requests(n: int, novelty: float, right: float) -> list[Watched]:
        return [Watched(float(x), 0.8, float(rng.random() < right)) for x in rng.normal(novelty, 0.05, n)]

    same = requests(2000, 0.3, 0.8)
    assert drift(same) == {} and drift(same[:50]) == {}
    changed = drift(same + requests(500, 0.6, 0.4))
    assert changed.keys() == {"inputs", "outcomes", "calibration"}
    assert "was 0.30" in changed["inputs"] and "is 0.6" in changed["inputs"]
    assert drift([one._replace(right=None) for one in same]) == {}


def test_a_key_that_reports_what_is_not_so_moves_no_decision_of_others() -> None:
    """One in five reports is of a key that calls every answer without thinking bad."""
    base, truth, random = load("prior"), load("tiny").restricted({"tiny"}), Random(4)
    none, think = (next(i for i, head in enumerate(truth.heads) if head.think == way) for way in (False, True))
    observations = []
    for number, prompt in enumerate(generate(11, 600)):
        kept = kept_features.load(base.kept(base.read(prompt.messages)))
        assert kept is not None
        way, key = random.random() < 0.5, random.choice("abcde")
        right = random.random() < truth.forecast(prompt.messages).p_correct[think if way else none]
        report = 0.0 if key == "e" and not way else float(right)
        completion = 40.0 if way else 8.0
        one = Observation(f"{number:04d}", kept, "tiny", way, None, report, 0.8, 1e9 + number, key, completion)
        observations.append(one)

    def learned(given: list[Observation]) -> Learned:
        return learn(base.artifact, given, "x", LearnSettings(2e9, 1e12), lambda line: None)

    poisoned = learned(observations)
    assert poisoned.about["distrusted_keys"] == {"e": 0.0}
    silent = learned([one for one in observations if one.key != "e"])
    assert poisoned.artifact.version == silent.artifact.version, "as if the key had said nothing"

"""Probes: what they tell, when they are asked for, and what they are charged."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from router_model.data import outcome_reader, outcomes
from router_model.data.outcomes import Arm
from router_model.evaluation import evaluate, probing
from router_model.model import predict
from router_model.model.predict import Predictor
from router_model.model.probe import PROBE_NAMES, Probe, ProbeValueModel, probe_value_model
from tests.router_model import tables

SURE = Probe(3, -0.001, -0.002, 6.0)
UNSURE = Probe(3, -1.5, -3.0, 0.1)
QUESTION = [{"role": "user", "content": "Add these: 12 and 55 and 71 and 40"}]


@pytest.fixture(scope="module")
def predictor(artifact_path: Path) -> Predictor:
    return predict.load(artifact_path)


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> outcomes.Outcomes:
    path = tmp_path_factory.mktemp("probed") / "new.parquet"
    return outcome_reader.read([tables.write(tables.rows(seed=1, wordings=(4, 5)), path)])


def test_a_probe_from_the_log_probabilities_of_an_answer() -> None:
    probe = Probe.of([-0.5, -0.1, -0.9], first_margin=1.0, truncated=True)
    assert probe.tokens == 3 and probe.mean == pytest.approx(-0.5) and probe.least == -0.9
    assert dict(zip(PROBE_NAMES, probe.inputs(), strict=True))["probe sum"] == pytest.approx(-1.5)
    assert Probe.of_inputs(probe.inputs()) == probe
    with pytest.raises(ValueError, match="at least one token"):
        Probe.of([])


def test_a_row_without_probe_columns_has_no_probe() -> None:
    assert Probe.of_row({"probe_tokens": None, "probe_mean": None}) is None
    assert Probe.of_row({"probe_tokens": 2, "probe_mean": -0.1, "probe_min": -0.2}) == Probe(2, -0.1, -0.2)


def test_an_unknown_margin_counts_as_clear() -> None:
    assert Probe(2, -0.1, -0.2).inputs() == Probe(2, -0.1, -0.2, 10.0).inputs()


def test_a_sure_answer_is_likelier_right(predictor: Predictor) -> None:
    assert predictor.probes_known == {0} and not predictor.heads[0].think
    before = predictor.forecast(QUESTION).p_correct[0]
    sure, unsure = (predictor.forecast(QUESTION, probe=p, probed=0).p_correct[0] for p in (SURE, UNSURE))
    assert unsure < before < sure


def test_a_probe_of_a_head_without_any_changes_nothing(predictor: Predictor) -> None:
    assert predictor.forecast(QUESTION, probe=SURE, probed=1) == predictor.forecast(QUESTION)
    assert not predictor.wants_probe(predictor.read(QUESTION), predictor.forecast(QUESTION), 1, 0.5, 0.0)


def test_restricted_predictors_keep_their_probes(predictor: Predictor) -> None:
    same = predictor.restricted({"m"})
    assert same.forecast(QUESTION, probe=SURE, probed=0) == predictor.forecast(QUESTION, probe=SURE, probed=0)


def test_a_probe_is_asked_while_it_is_worth_its_price(predictor: Predictor) -> None:
    reading = predictor.read(QUESTION)._replace(ood_probability=0.0)
    scores = predictor.scores(reading)
    asked = [predictor.wants_probe(reading, scores, 0, 0.6, cost) for cost in (0.0, 0.01, 0.05, 0.2, 1.0)]
    assert asked[0] and not asked[-1] and asked == sorted(asked, reverse=True)
    assert predictor.wants_probe(reading._replace(ood_probability=0.9), scores, 0, 0.6, 1.0)


def test_what_probes_reveal_is_read_between_knots() -> None:
    rng = np.random.default_rng(0)
    before = rng.uniform(0, 1, 3000)
    right = rng.random(3000) < before
    after = np.where(right, 0.9, 0.1) * 0.6 + before * 0.4
    found = probe_value_model(before, after)
    assert np.all(np.diff(found.before) > 0) and found.after.shape == (12, 9)
    middle = found.outcomes(0.5)
    assert middle[0] < 0.35 and middle[-1] > 0.65
    assert found.worth(0.5, 0.6) > 0.6 > found.worth(0.01, 0.3)
    assert np.array_equal(found.outcomes(-1), found.after[0]) and np.array_equal(found.outcomes(2), found.after[-1])


def test_few_prompts_make_fewer_knots() -> None:
    found = probe_value_model(np.full(30, 0.5), np.linspace(0, 1, 30))
    assert isinstance(found, ProbeValueModel) and found.before.shape == (1,)


def test_asking_first_beats_text_alone_and_is_charged(predictor: Predictor, new: outcomes.Outcomes) -> None:
    arms = [Arm("m", "nothink"), *(Arm("m", "budget", b) for b in tables.BUDGETS), Arm("m", "think")]
    chosen = new.columns(arms)
    heads = [predictor.heads.index(h) for h in sorted(predictor.heads, key=lambda h: (h.think, h.budget or math.inf))]
    figures = probing.figures(probing.views(predictor, chosen, heads), chosen)
    assert figures is not None
    assert figures["always"]["token_apgr"] > figures["never"]["token_apgr"] - 0.02
    assert figures["auc_after"] > 0.8
    everyone = np.ones(len(chosen), bool)
    last = np.full(len(chosen), len(arms) - 1)
    charged, free = probing.bought(chosen, everyone, last), probing.bought(chosen, ~everyone, last)
    assert np.array_equal(charged[0], free[0]) and np.array_equal(charged[1], free[1] + chosen.completion[:, 0])
    kept = probing.bought(chosen, everyone, np.zeros(len(chosen), np.int64))
    assert np.array_equal(kept[1], chosen.completion[:, 0]) and not kept[2].any()


def test_decisions_of_the_evaluation_are_those_of_the_predictor(predictor: Predictor, new: outcomes.Outcomes) -> None:
    """One by one as a server asks, or all at once: the same prompts are probed, the same efforts chosen."""
    arms = [Arm("m", "nothink"), Arm("m", "budget", 32), Arm("m", "think")]
    chosen = new.columns(arms)
    heads = [next(i for i, h in enumerate(predictor.heads) if h.name == arm.name) for arm in arms]
    seen = probing.views(predictor, chosen, heads)
    assert seen is not None
    price = 0.004
    probed, choice = probing.decide(seen, price)
    for i, prompt in enumerate(chosen.prompts[:60]):
        reading = predictor.read(prompt.messages)
        scores = predictor.scores(reading)
        values = [scores.p_correct[h] - price * (scores.thinking_tokens[h] + scores.answer_tokens[h]) for h in heads]
        asks = predictor.wants_probe(reading, scores, heads[0], max(values[1:]), scores.p_correct[heads[0]] - values[0])
        assert asks == probed[i]
        if asks:
            probe = Probe.of_inputs(chosen.probes[arms[0]][i].tolist())
            scores = predictor.scores(reading, probe, heads[0])
            values = [
                scores.p_correct[h] - (k > 0) * price * (scores.thinking_tokens[h] + scores.answer_tokens[h])
                for k, h in enumerate(heads)
            ]
            assert int(np.argmax(values)) == choice[i]
        else:
            assert 1 + int(np.argmax(values[1:])) == choice[i]


def test_without_probes_in_the_table_nothing_is_said_of_them(predictor: Predictor, tmp_path: Path) -> None:
    bare: list[dict[str, Any]] = [
        {k: v for k, v in row.items() if not k.startswith("probe_")} for row in tables.rows(n=60, wordings=(4, 5))
    ]
    table = outcome_reader.read([tables.write(bare, tmp_path / "bare.parquet")])
    found = evaluate.evaluate(predictor, table, Arm("m", "nothink"), Arm("m", "think"))
    assert found["probe"] is None


def test_a_probe_says_what_is_right_and_not_how_long_it_takes(predictor: Predictor) -> None:
    before, after = predictor.forecast(QUESTION), predictor.forecast(QUESTION, probe=UNSURE, probed=0)
    assert before.p_correct != after.p_correct
    assert before.thinking_tokens == after.thinking_tokens and before.answer_tokens == after.answer_tokens

"""The generic probe: questions with one right answer, and a bound that holds for models that were left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from router_model.adapting import probe_curve, probe_figures, probe_samples
from router_model.adapting.probe_questions import KINDS, Question, is_right, questions
from router_model.adapting.probe_samples import ProbeSamples
from router_model.model import generic_probe
from router_model.model.artifact import ArtifactError


def drawn(offsets: dict[str, float], kinds: int = 12, each: int = 60) -> ProbeSamples:
    """Models whose answers are right by one curve of the mean token, moved by an offset for each model and kind."""
    draw = np.random.default_rng(3)
    parts = []
    for model, offset in offsets.items():
        for kind in range(kinds):
            mean = draw.uniform(0.2, 1.0, each)
            logit = 6 * mean - 3 + offset + draw.normal(0, 0.7)
            right = (draw.uniform(size=each) < 1 / (1 + np.exp(-logit))).astype(float)
            inputs = np.column_stack([mean, mean, np.log(mean), np.zeros(each)])
            parts.append((np.full(each, model), np.full(each, model), np.full(each, f"k{kind}"), inputs, right))
    model, relatives, kind, inputs, right = (np.concatenate(column) for column in zip(*parts, strict=True))
    nothing = np.full(len(right), np.nan)
    return ProbeSamples(model, relatives, kind, inputs, right, np.ones(len(right)), nothing, nothing)


def test_questions_are_the_same_for_a_seed_and_their_answers_are_recognised() -> None:
    asked = questions(1, 110)
    assert asked == questions(1, 110) != questions(2, 110)
    assert {question.kind for question in asked} == set(KINDS)
    assert all(is_right(question, f"It is {question.answer}.") for question in asked)
    number, word = Question("sum", "", "12"), Question("capital", "", "Rome")
    for question, answer, right in (
        (number, "5 + 7 = 12", True),
        (number, "12 or 13", False),
        (number, "none", False),
        (word, "ROME!", True),
        (word, "Romeo", False),
    ):
        assert is_right(question, answer) is right, answer


def test_the_bound_holds_for_most_kinds_of_a_model_that_was_left_out() -> None:
    samples = drawn({"a": -0.3, "b": 0.4, "c": 0.0})
    new = samples.relatives == "c"
    curve = probe_curve.fit(samples.where(~new), ("mean token",))
    assert 4 < curve.weights[0] < 8 and 0.4 < curve.offset_sd < 1.3
    bound = np.array([curve.bound(logit) for logit in probe_curve.logits(curve, samples.where(new))])
    assert 0.65 <= probe_figures.covered(bound, samples.where(new)) <= 1.0
    forecast = probe_figures.left_out(samples, probe_figures.LEARNERS["logistic: mean token"])
    assert probe_figures.brier(forecast, samples) < samples.right.var() - 0.02
    with pytest.raises(ValueError, match="two"):
        probe_figures.left_out(samples.where(new), probe_figures.LEARNERS["logistic: mean token"])


def test_a_broken_file_is_refused_and_stated_confidences_are_read(tmp_path: Path) -> None:
    shipped = generic_probe.load()
    path = tmp_path / "probe.json"
    for text in ("", "{}", json.dumps({**shipped.described(), "format": 2}), json.dumps({"format": 1, "level": 0.8})):
        path.write_text(text, "utf-8")
        with pytest.raises(ArtifactError, match=r"cannot be used|another format"):
            generic_probe.load(path)
    path.write_text(json.dumps(shipped.described()), "utf-8")
    assert generic_probe.load(path) == shipped
    lines = [
        {"t": 1, "conf": 0.8, "correct": 1},
        {"t": 1, "conf": None, "correct": 0},
        {"t": 2, "conf": 1, "correct": 1},
    ]
    said = tmp_path / "said.jsonl"
    said.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    found = probe_samples.spoken([said])
    assert len(found) == 1 and found.inputs[0][0] == pytest.approx(0.8)

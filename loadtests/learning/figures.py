"""How well forecasts say which prompts are worth their thinking tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadtests.learning.both_ends import BothEnds
from router_model.model.predict import EncodedRequest, Predictor, Surface, load

F64 = NDArray[np.float64]


def token_apgr(table: BothEnds, prompts: Sequence[int], rank: F64) -> float:
    """The area under the share of the performance gap that is recovered, over the share of the tokens between never and
    always thinking, where prompts think in the order of `rank`, highest first.
    """
    none, think = ([table.answers[prompt][end] for prompt in prompts] for end in (0, 1))
    order = np.argsort(-rank, kind="stable")
    right = np.array([b.score - a.score for a, b in zip(none, think, strict=True)])[order]
    tokens = np.array([b.tokens - a.tokens for a, b in zip(none, think, strict=True)], np.float64)[order]
    x = np.concatenate([[0.0], np.cumsum(tokens)]) / tokens.sum()
    y = np.concatenate([[0.0], np.cumsum(right)]) / right.sum()
    return float(np.trapezoid(y, x))


def gains(router: str | Path, table: BothEnds, prompts: Sequence[int], model: str) -> F64:
    """What thinking is forecast to bring for each of its tokens [prompts]."""
    whole = load(router)
    names = {head.model for head in whole.heads}
    predictor = whole.restricted({model if model in names else "*"})
    efforts = [(predictor.heads[0].model, think, None) for think in (False, True)]
    surface = predictor.surface(efforts)
    found = []
    for prompt in prompts:
        task = table.prompts[prompt]
        reading = predictor.read(task.messages, task.tools)
        found.append(_gain(predictor, surface, reading))
    return np.array(found)


def _gain(predictor: Predictor, surface: Surface, reading: EncodedRequest) -> float:
    scores = predictor.at(surface, predictor.scores(reading), reading)
    none, think = map(sum, zip(scores.thinking_tokens, scores.answer_tokens, strict=True))
    return float((scores.p_correct[1] - scores.p_correct[0]) / max(think - none, 1.0))

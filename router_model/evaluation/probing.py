"""The results of a router with probes: a convincing probe is the answer, any other is discarded but charged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data.outcomes import Outcomes
from router_model.decision.probe_policy import Ask, ProbeViews, decide
from router_model.evaluation import metrics
from router_model.evaluation.intervals import wilson
from router_model.model.predict import OOD_UNTRUSTED, Predictor
from router_model.model.probe import Probe

__all__ = ["PRICES", "ProbeViews", "bought", "decide", "figures", "views"]

F64 = NDArray[np.float64]
PRICES = np.concatenate([[np.inf], np.geomspace(1.0, 1e-6, 181), [0.0]])
DRAWS = 200


def views(predictor: Predictor, chosen: Outcomes, heads: Sequence[int]) -> ProbeViews | None:
    """Forecasts of a table's efforts by these heads; None if the table or the router has no probes."""
    weak = chosen.arms[0]
    if weak not in chosen.probes or heads[0] not in predictor.probes_known:
        return None
    probes = chosen.probes[weak]
    if np.isnan(probes).any():
        return None
    readings = [predictor.read(prompt.messages, prompt.tools) for prompt in chosen.prompts]
    before = [predictor.scores(reading) for reading in readings]
    after = [
        predictor.scores(reading, Probe.of_inputs(row), heads[0])
        for reading, row in zip(readings, probes.tolist(), strict=True)
    ]
    columns = list(heads)
    reveals = predictor.artifact.probed[heads[0]].reveals
    p_before = np.array([scores.p_correct for scores in before])[:, columns]
    return ProbeViews(
        p_before,
        np.array([np.add(s.thinking_tokens, s.answer_tokens) for s in before])[:, columns],
        np.array([scores.p_correct for scores in after])[:, columns],
        np.array([np.add(s.thinking_tokens, s.answer_tokens) for s in after])[:, columns],
        np.stack([reveals.outcomes(p) for p in p_before[:, 0]]),
        np.array([reading.ood_probability for reading in readings]),
    )


def bought(chosen: Outcomes, probed: NDArray[np.bool_], choice: NDArray[np.int64]) -> F64:
    """Accuracy, tokens and thinking tokens [3, prompts], both including the tokens of discarded probes."""
    rows = np.arange(len(chosen))
    discarded = np.where(probed & (choice > 0), chosen.completion[:, 0], 0.0)
    return np.stack(
        [
            chosen.correct[rows, choice],
            chosen.completion[rows, choice] + discarded,
            chosen.thinking[rows, choice] + discarded,
        ]
    )


def figures(seen: ProbeViews | None, chosen: Outcomes) -> dict[str, Any] | None:
    """By use of probes: token APGR, and the thinking shares that keep the accuracy of always thinking; and the
    calibration after probes. None without probes or with unknown tokens.
    """
    if seen is None or np.isnan(chosen.completion).any() or np.isnan(chosen.thinking).any():
        return None
    asks: tuple[Ask, ...] = ("auto", "always", "never")
    times = metrics.resamples(len(chosen), DRAWS)
    result: dict[str, Any] = {ask: _swept(chosen, seen, ask, times) for ask in asks}
    p, real = seen.p_after, chosen.correct
    return result | {
        "auc_after": metrics.auc(p[:, 0], real[:, 0] >= 0.5),
        "ece_after": metrics.ece(p.ravel(), real.ravel()),
        "ece_after_ci": metrics.interval(metrics.ece_draws(p, real, times)),
        "brier_after": metrics.brier(p.ravel(), real.ravel()),
        "reliability_after": metrics.reliability(p.ravel(), real.ravel()),
        "strange": float((seen.ood_probability > OOD_UNTRUSTED).mean()),
        "clairvoyant": _clairvoyant(chosen),
    }


def _swept(chosen: Outcomes, seen: ProbeViews, ask: Ask, times: F64) -> dict[str, Any]:
    choices = [decide(seen, price, ask) for price in PRICES]
    got = np.stack([bought(chosen, *choice) for choice in choices])
    means = got.mean(axis=2)
    ends = np.stack([chosen.correct, chosen.completion, chosen.thinking])[:, :, [0, -1]]
    always = float(chosen.correct[:, -1].mean())
    interval = always - wilson(always, len(chosen))[0]
    drawn = np.einsum("dn,pkn->dkp", times, got) / len(chosen)
    drawn_ends = np.einsum("dn,kne->dke", times, ends) / len(chosen)
    return {
        "token_apgr": _area(means.T, ends.mean(axis=1)),
        "token_apgr_ci": metrics.interval(
            np.array([_area(draw, end) for draw, end in zip(drawn, drawn_ends, strict=True)])
        ),
        "thinking_share_within_interval": _least(means.T, ends.mean(axis=1), interval),
        "thinking_share_at_minus_1_point": _least(means.T, ends.mean(axis=1), 0.01),
        "thinking_share_at_minus_1_point_ci": metrics.interval(
            np.array(
                [
                    np.nan if (share := _least(draw, end, 0.01)) is None else share
                    for draw, end in zip(drawn, drawn_ends, strict=True)
                ]
            )
        ),
        "points": [
            {
                "accuracy": float(row[0]),
                "tokens": float(row[1]),
                "thinking": float(row[2]),
                "probed": float(choice[0].mean()),
                "price": float(price),
            }
            for row, choice, price in zip(means, choices, PRICES, strict=True)
        ],
    }


def _clairvoyant(chosen: Outcomes) -> dict[str, Any]:
    """The results with knowledge of both outcomes: `charged` with the cost of a probe, `free` without."""
    n, found = len(chosen), {}
    gain, cost = chosen.correct[:, -1] - chosen.correct[:, 0], chosen.completion[:, -1] - chosen.completion[:, 0]
    ends = np.stack([chosen.correct, chosen.completion, chosen.thinking])[:, :, [0, -1]].mean(axis=1)
    for name in ("charged", "free"):
        curve = []
        for price in PRICES:
            think = gain > price * cost if np.isfinite(price) else np.zeros(n, bool)
            curve.append(bought(chosen, np.full(n, name == "charged"), np.where(think, len(chosen.arms) - 1, 0)))
        means = np.stack(curve).mean(axis=2).T
        found[name] = {
            "token_apgr": _area(means, ends),
            "thinking_share_at_minus_1_point": _least(means, ends, 0.01),
        }
    return found


def _area(curve: F64, ends: F64) -> float:
    """Token APGR of a curve [accuracy, tokens, thinking; points] between never and always thinking [.., 2]."""
    never, always = ((float(ends[1, k]), float(ends[0, k])) for k in (0, 1))
    return metrics.capped_area(curve[1], curve[0], never, always)


def _least(curve: F64, ends: F64, loss: float) -> float | None:
    """The least share of the thinking tokens of always thinking at which at most `loss` of its accuracy is lost."""
    enough = curve[0] >= ends[0, 1] - loss - 1e-12
    return float(curve[2, enough].min() / ends[2, 1]) if enough.any() else None

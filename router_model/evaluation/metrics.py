"""Evaluation metrics as pure functions on arrays; NaN where a metric is undefined.

APGR and CPT: "RouteLLM: Learning to Route LLMs with Preference Data" (Ong, Almahairi, Wu, Chiang, Wu, Gonzalez, Kadous,
Stoica, 2024, arXiv:2406.18665). AIQ: "RouterBench: A Benchmark for Multi-LLM Routing System" (Hu, Bieker, Li, Jiang,
Keigwin, Ranganath, Keutzer, Upadhyay, 2024, arXiv:2403.12031).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]
DRAWS = 1000


def curve(score: F64, weak: F64, strong: F64, cost: F64 | None = None) -> tuple[F64, F64]:
    """Mean quality as more prompts go to the strong arm, highest scores first: (x, quality), from none to all.

    `x` is the share of strong calls or, with `cost` [prompts], their mean additional cost. Between groups of equal
    scores the curve is linear, which corresponds to random order within a group.
    """
    order, ends = groups(score)
    gain = np.cumsum((strong - weak)[order])[ends]
    spent = np.cumsum(np.ones(len(score)) if cost is None else cost[order])[ends]
    n = len(score)
    return np.append(0.0, spent / n), np.append(0.0, gain / n) + weak.mean()


def groups(score: F64) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The order of descending scores, and the index of the last member of each group of equal scores."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(score) - 1)
    return order, ends


def area(x: F64, quality: F64) -> float:
    """(area under the curve - weak) / (strong - weak), x scaled to its span: APGR for calls, token APGR for tokens.

    Random order is .5 by construction. NaN if strong is no better than weak or costs no more.
    """
    span, gap = x[-1] - x[0], quality[-1] - quality[0]
    if span <= 0 or gap <= 0:
        return float("nan")
    return float((np.trapezoid(quality, x) / span - quality[0]) / gap)


def apgr(score: F64, weak: F64, strong: F64) -> float:
    """Average performance gap recovered over the share of strong calls."""
    return area(*curve(score, weak, strong))


def token_apgr(score: F64, weak: F64, strong: F64, cost: F64) -> float:
    """The same over mean tokens; `cost` [prompts]: the additional tokens of the strong arm."""
    return area(*curve(score, weak, strong, cost))


def resamples(n: int, draws: int = DRAWS, seed: int = 0) -> F64:
    """Bootstrap counts of n prompts [draws, n], drawn with replacement."""
    rng = np.random.default_rng(seed)
    return np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(draws)]).astype(np.float64)


def interval(values: F64) -> list[float]:
    """The 95 % percentile interval of resampled figures."""
    if np.isnan(values).all():
        return [float("nan")] * 2
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return [float(low), float(high)]


def resampled(
    score: F64, weak: F64, strong: F64, cost: F64 | None = None, draws: int = DRAWS, seed: int = 0
) -> dict[str, F64]:
    """Bootstrap values of `area`, `cpt50` and `cpt80` [draws]; equal numbers of prompts get the same draws."""
    rng = np.random.default_rng(seed)
    order, ends = groups(score)
    n, gain = len(score), (strong - weak)[order]
    spent = np.ones(n) if cost is None else cost[order]
    found: dict[str, list[float]] = {"area": [], "cpt50": [], "cpt80": []}
    for _ in range(draws):
        times = np.bincount(rng.integers(0, n, n), minlength=n)[order]
        y = np.append(0.0, np.cumsum(times * gain)[ends])
        x = np.append(0.0, np.cumsum(times * spent)[ends])
        found["area"].append(area(x, y))
        found["cpt50"].append(_reaches(x, y, 0.5))
        found["cpt80"].append(_reaches(x, y, 0.8))
    return {name: np.array(values) for name, values in found.items()}


def bootstrap(
    score: F64, weak: F64, strong: F64, cost: F64 | None = None, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """The 95 % bootstrap percentile interval of the area."""
    low, high = interval(resampled(score, weak, strong, cost, draws, seed)["area"])
    return low, high


def recovered(router: float, oracle: float, random: float = 0.5) -> float:
    """The share of the oracle's area over random mixing that the router recovers."""
    return (router - random) / (oracle - random) if oracle > random else float("nan")


def cpt(score: F64, weak: F64, strong: F64, share: float) -> float:
    """CPT: the least share of strong calls at which `share` of the performance gap is recovered, linear in between."""
    return _reaches(*curve(score, weak, strong), share)


def _reaches(x: F64, quality: F64, share: float) -> float:
    """Where on `x`, scaled to [0,1], a curve first recovers this share of the gap between its ends."""
    target = quality[0] + share * (quality[-1] - quality[0])
    if quality[-1] <= quality[0] or x[-1] <= x[0]:
        return float("nan")
    k = int(np.argmax(quality >= target - 1e-12))
    if k == 0:
        return 0.0
    part = (target - quality[k - 1]) / (quality[k] - quality[k - 1])
    return float((x[k - 1] + part * (x[k] - x[k - 1]) - x[0]) / (x[-1] - x[0]))


def aiq(x: F64, quality: F64) -> float:
    """Average improvement in quality: the mean height of the non-decreasing hull of a curve over the costs `x`."""
    if x.max() <= x.min():
        return float("nan")
    few = np.unique(np.linspace(0, len(x) - 1, 400).astype(int))
    at, height = upper_hull(x[few], quality[few])
    # The best quality is also reached at any higher cost.
    return float(np.trapezoid(np.append(height, height[-1]), np.append(at, x.max())) / (x.max() - x.min()))


def ece_draws(confidence: F64, correct: F64, times: F64, bins: int = 15) -> F64:
    """ECE [draws] over [prompts, efforts] with bootstrap counts `times` [draws, prompts]."""
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    off = np.zeros((len(times), bins))
    for b in range(bins):
        off[:, b] = times @ np.where(index == b, confidence - correct, 0.0).sum(axis=1)
    found: F64 = np.abs(off).sum(axis=1) / confidence.size
    return found


def ece(confidence: F64, correct: F64, bins: int = 15) -> float:
    """Expected calibration error over equal-width bins."""
    return float(sum(n / len(confidence) * abs(c - a) for n, c, a in reliability(confidence, correct, bins)))


def reliability(confidence: F64, correct: F64, bins: int = 15) -> list[tuple[int, float, float]]:
    """For each non-empty bin: count, mean confidence, mean correctness."""
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        (int(np.sum(index == b)), float(confidence[index == b].mean()), float(correct[index == b].mean()))
        for b in range(bins)
        if np.any(index == b)
    ]


def brier(confidence: F64, correct: F64) -> float:
    """Mean squared error of a probability."""
    return float(np.mean(np.square(confidence - correct)))


def auc(score: F64, label: NDArray[np.bool_]) -> float:
    """Probability that a positive outranks a negative, ties counting half. NaN with one class only."""
    positives = int(label.sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[label].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def upper_hull(x: F64, y: F64) -> tuple[F64, F64]:
    """The non-decreasing concave hull of points, sorted by x: what mixing between them achieves."""
    hull: list[tuple[float, float]] = []
    for px, py in sorted(zip(x.tolist(), y.tolist(), strict=True)):
        if hull and py <= hull[-1][1]:
            continue
        if hull and px == hull[-1][0]:
            hull.pop()
        while len(hull) > 1 and _below(hull[-2], hull[-1], (px, py)):
            hull.pop()
        hull.append((px, py))
    points = np.array(hull)
    return points[:, 0], points[:, 1]


def _below(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def capped_area(x: F64, quality: F64, low: tuple[float, float], high: tuple[float, float]) -> float:
    """Token APGR of a curve between two anchors (x, quality); the curve is clipped to their x and joined to them."""
    span, gap = high[0] - low[0], high[1] - low[1]
    if span <= 0 or gap <= 0:
        return float("nan")
    inside = (x > low[0]) & (x < high[0])
    order = np.argsort(x[inside], kind="stable")
    xs = np.concatenate([[low[0]], x[inside][order], [high[0]]])
    ys = np.concatenate([[low[1]], quality[inside][order], [high[1]]])
    return area(xs, ys)

"""A comparison in plain words."""

from __future__ import annotations

from math import isfinite

from router_model.experiments.comparison import Comparison


def sentence(primary: Comparison, tokens: Comparison | None, against: str, means: tuple[float, float]) -> str:
    """What was found on the primary metric, and beside it on tokens, where these are measured.

    `means`: the other arm's means of the two, by which relative differences are told.
    """
    if not primary.found.n or not all(map(isfinite, primary.interval)):
        return f"Too few units of {primary.arm} and {against} are settled to say anything."
    start = "" if primary.verdict != "undecided" else "Undecided so far: "
    told = f"{start}{primary.arm} {primary.metric.verb} {amount(primary, means[0])} than {against}{_pairs(primary)}"
    if tokens is None or not all(map(isfinite, tokens.interval)):
        return f"{told}."
    if tokens.verdict == "undecided":
        return f"{told}; whether it {tokens.metric.verb} more or fewer tokens is undecided."
    return f"{told}, at {amount(tokens, means[1], with_interval=False)}."


def _pairs(found: Comparison) -> str:
    """What the difference rests on, where pairs have a part in it."""
    if found.beside is None or found.found.method == "units":
        return ""
    pairs, apart = found.beside
    others = f" and {apart.n} other units" if found.found.method == "combined" else ""
    return f" (by {pairs.n} pairs{others})"


def amount(found: Comparison, mean: float, with_interval: bool = True) -> str:
    """The size of a difference: `2.1 points [0.4, 3.8] more right`. Relative ones are shares of `mean`."""
    metric, estimate = found.metric, found.found.estimate
    sign = -1 if estimate < 0 else 1
    scale = 100.0 if metric.unit == "points" or not mean else 100.0 / abs(mean)
    low, high = sorted(sign * scale * bound for bound in found.interval)
    interval = f" [{low:.1f}, {high:.1f}]" if with_interval else ""
    word = metric.more if sign > 0 else metric.less
    return f"{sign * scale * estimate:.{1 if with_interval else 0}f} {metric.unit}{interval} {word}"

"""What a group of requests came to."""

from __future__ import annotations

from typing import Literal, NamedTuple

Grouping = Literal["key", "model", "arm", "experiment", "day"]


class Total(NamedTuple):
    """The mean and the variance of a figure over `n` requests that have it; None where there is none."""

    n: int
    mean: float | None
    variance: float | None


class RecordTotals(NamedTuple):
    """`group` has a value for each grouping that was asked for, days as whole days since 1970. Tokens and dollars are
    sums; `latency` and `first_answer`, the time until the first token of the answer, are in seconds, `outcome` the mean
    score of each request, weighed over its sources.
    """

    group: tuple[str | int | None, ...]
    requests: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    dollars: float
    latency: Total
    first_answer: Total
    outcome: Total

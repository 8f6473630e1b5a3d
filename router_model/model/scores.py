"""The forecasts of a router for one request: values for each effort, and quantiles of token counts."""

from __future__ import annotations

from typing import NamedTuple

# The quantiles of token counts that are forecast.
LEVELS = (0.1, 0.5, 0.9)


class Scores(NamedTuple):
    """The forecast of each head of a predictor, in order.

    P(correct) in [0,1], expected thinking and answer tokens.
    """

    p_correct: list[float]
    thinking_tokens: list[float]
    answer_tokens: list[float]


class Quantiles(NamedTuple):
    """Quantiles of token counts [heads], one list per level of LEVELS: P10, P50 and P90."""

    thinking: tuple[list[float], list[float], list[float]]
    answer: tuple[list[float], list[float], list[float]]

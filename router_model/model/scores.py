"""What a router forecasts for one request: a value for each effort, and quantiles of its token counts."""

from __future__ import annotations

from typing import NamedTuple

# The quantiles of token counts that are forecast.
LEVELS = (0.1, 0.5, 0.9)


class Scores(NamedTuple):
    """What each effort of a predictor would bring, in the order of its heads.

    P(correct) in [0,1], expected thinking and answer tokens.
    """

    p_correct: list[float]
    thinking_tokens: list[float]
    answer_tokens: list[float]


class Quantiles(NamedTuple):
    """Token counts [heads] that are not exceeded with each probability of LEVELS: P10, P50 and P90."""

    thinking: tuple[list[float], list[float], list[float]]
    answer: tuple[list[float], list[float], list[float]]

"""The one decision rule: what an effort is worth at the prices of a request."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.core.forecast import EffortForecast
from gateway.core.prices import Prices


def worth(forecast: EffortForecast, prices: Prices) -> float:
    """P(correct) minus what tokens, waiting and reading the prompt again cost."""
    return (
        forecast.p_correct
        - prices.token * forecast.tokens
        - prices.second * forecast.seconds
        - prices.reread * forecast.reread_tokens
    )


def cost(forecast: EffortForecast, prices: Prices) -> float:
    """What tokens, waiting and reading the prompt again cost, in P(correct)."""
    return prices.token * forecast.tokens + prices.second * forecast.seconds + prices.reread * forecast.reread_tokens


def best(forecasts: Iterable[EffortForecast], prices: Prices) -> EffortForecast:
    """The one of greatest worth; at equal worth the weaker effort, which comes first."""
    return max(forecasts, key=lambda one: worth(one, prices))

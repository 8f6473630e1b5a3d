"""What exploration may choose of each row: what loses little by the forecast at the price without exploration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_model.offpolicy.log_columns import Forecasts, Prices, Probes, direct_lines, lines_after

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Offered(NamedTuple):
    """What can be chosen without a probe, as lines in the token price: `values` and `slopes` [rows, efforts], NaN: not
    offered. `always`, `never` [rows]: a probe is asked for at any price, or at none, where one is possible.
    """

    values: F64
    slopes: F64
    always: Bools
    never: Bools


def limited(prices: Prices) -> Bools:
    """The rows [rows] on which something may not be offered."""
    rows: Bools = (prices.share > 0) & (prices.token > 0) & np.isfinite(prices.most_loss)
    return rows


def before(forecasts: Forecasts, probes: Probes, prices: Prices) -> Offered:
    """Before a probe."""
    values, slopes = direct_lines(forecasts, probes, prices.second)
    always, never = probes.always, np.zeros(len(values), bool)
    some = limited(prices)
    if not some.any():
        return Offered(values, slopes, always, never)
    worth = _worth(values, slopes, prices)
    direct = worth.max(axis=1)
    asking = np.where(probes.possible, _asking(forecasts, probes, prices, direct), -np.inf)
    best = np.where(always, direct, np.maximum(direct, asking))
    least = np.where(some, best - prices.most_loss, -np.inf)
    near = worth >= least[:, None]
    none = ~near.any(axis=1) & probes.possible
    values = np.where(near | none[:, None], values, np.nan)
    return Offered(values, slopes, always | none, (asking < least) & ~always & ~none)


def after(forecasts: Forecasts, probes: Probes, prices: Prices) -> tuple[F64, F64]:
    """After a probe: values and slopes."""
    values, slopes = lines_after(forecasts, probes, prices.second)
    some = limited(prices)
    if some.any():
        worth = _worth(values, slopes, prices)
        least = np.where(some, worth.max(axis=1) - prices.most_loss, -np.inf)
        values = np.where(worth >= least[:, None], values, np.nan)
    return values, slopes


def _worth(values: F64, slopes: F64, prices: Prices) -> F64:
    """At the price without exploration; what is not there is worth nothing at all."""
    worth = values - prices.token[:, None] * np.nan_to_num(slopes)
    return np.where(np.isnan(worth), -np.inf, worth)


def _asking(forecasts: Forecasts, probes: Probes, prices: Prices, direct: F64) -> F64:
    """What asking for a probe is worth [rows]."""
    outcomes = np.nan_to_num(probes.outcomes)
    cost = prices.token * forecasts.tokens[:, 0] + prices.second * forecasts.seconds[:, 0] + forecasts.other[:, 0]
    worth: F64 = np.maximum(outcomes, direct[:, None]).mean(axis=1) - np.nan_to_num(cost)
    return worth

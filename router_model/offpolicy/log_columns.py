"""The columns of logged decisions: what was forecast, what probes told, and what the prices were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_model.offpolicy.price_sets import Spreads
from router_model.offpolicy.spread import FIXED, SIDE, Spread

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
_NO_STEPS = (0.0,) * (2 * SIDE + 1)


class Forecasts(NamedTuple):
    """Forecasts of every effort [rows, efforts]: P(correct), tokens (thinking and answer) and seconds.

    `other`: what it costs besides, in P(correct), under every policy: reading a prompt again, say. NaN in `p_correct`:
    the effort was not offered, or must not be chosen.
    """

    p_correct: F64
    tokens: F64
    seconds: F64
    other: F64

    @classmethod
    def of(cls, p_correct: F64, tokens: F64, seconds: F64 | None = None, other: F64 | None = None) -> Forecasts:
        """What is left out costs nothing."""
        zero = np.zeros_like(p_correct)
        return cls(p_correct, tokens, zero if seconds is None else seconds, zero if other is None else other)

    def lines(self, second: F64) -> tuple[F64, F64]:
        """Values and slopes of the worth in the token price, at a price per second [rows]."""
        return self.p_correct - second[:, None] * self.seconds - self.other, self.tokens


class Probes(NamedTuple):
    """What is known of probes. Where one is possible the first effort is only taken as a probe's answer.

    `possible`, `always` (asked for at any price) and `asked` [rows]; `outcomes` [rows, quantiles]: equally likely
    values of P(correct) after the probe, NaN where none is possible; `p_after` [rows, efforts]: the forecast after it,
    NaN where none was asked for.
    """

    possible: Bools
    always: Bools
    asked: Bools
    outcomes: F64
    p_after: F64

    @classmethod
    def none(cls, rows: int, efforts: int) -> Probes:
        no = np.zeros(rows, bool)
        return cls(no, no, no, np.full((rows, 1), np.nan), np.full((rows, efforts), np.nan))


class Prices(NamedTuple):
    """Prices of a token and a second in P(correct) [rows]; exploration: the `share` [rows] of draws that change the
    first, the `steps` [rows, steps] by which they do (`Spread`), and `most_loss` [rows], what it may lose on a row by
    the forecast."""

    token: F64
    second: F64
    share: F64
    steps: F64
    most_loss: F64

    @classmethod
    def of(
        cls,
        rows: int,
        token: float | F64,
        second: float | F64 = 0.0,
        spreads: Spread | Sequence[Spread] = FIXED,
        most_loss: float | F64 = np.inf,
    ) -> Prices:
        """The same for every row, or one for each. ValueError: a price is negative or not finite."""
        each = [spreads] if isinstance(spreads, Spread) else spreads
        steps = np.array([spread.steps or _NO_STEPS for spread in each], np.float64).reshape(-1, len(_NO_STEPS))
        share = np.array([spread.share for spread in each], np.float64)
        steps, share = np.broadcast_to(steps, (rows, len(_NO_STEPS))), np.broadcast_to(share, rows)
        token, second, most = (np.broadcast_to(np.asarray(one, np.float64), rows) for one in (token, second, most_loss))
        if not all(((price >= 0) & (price < np.inf)).all() for price in (token, second)) or not (most >= 0).all():
            raise ValueError("prices are finite and not negative")
        return cls(token, second, share, steps, most)

    @property
    def spreads(self) -> Spreads:
        return Spreads(self.share, self.steps)


def direct_lines(forecasts: Forecasts, probes: Probes, second: F64) -> tuple[F64, F64]:
    """The lines of what can be chosen without a probe, at a price per second [rows]."""
    values, slopes = forecasts.lines(second)
    values = values.copy()
    values[probes.possible, 0] = np.nan
    return values, slopes


def lines_after(forecasts: Forecasts, probes: Probes, second: F64) -> tuple[F64, F64]:
    """The lines after a probe: its answer is there already, and costs nothing more."""
    values, slopes = forecasts._replace(p_correct=probes.p_after).lines(second)
    there = np.arange(values.shape[1]) == 0
    return np.where(there, probes.p_after, values), np.where(there, 0.0, slopes)

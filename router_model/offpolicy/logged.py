"""Logged decisions: what was forecast, what was chosen at which price, and what it brought."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_model.offpolicy import offers, price_sets
from router_model.offpolicy.log_columns import Forecasts, Prices, Probes
from router_model.offpolicy.offers import Offered
from router_model.offpolicy.price_sets import PriceSets

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class PathMasses(NamedTuple):
    """How likely a policy is to take each path, by its prices.

    `direct` [rows, efforts]: the effort without a probe; `ask` [rows]: a probe; `committed` [rows, efforts]: a probe
    and then the effort, given what the probe of the row revealed, 0 where none was asked for.
    """

    direct: F64
    ask: F64
    committed: F64


@dataclass(frozen=True)
class Logged:
    """Decisions in the order of time, columns [rows].

    `chosen`: the effort, by its place in `forecasts`; `fixed`: no price had a say (the client named the effort, say),
    so any price would have brought the same; `propensity`: of the whole path, at the time; `outcome` in [0, 1], NaN
    where unknown; `tokens` and `seconds`: spent, discarded probes included, NaN where unknown; `unit`: rows of one unit
    are not independent.

    ValueError: columns that differ in length, a choice that was not offered, a propensity or outcome out of range, or a
    probe that was asked for where none was possible.
    """

    forecasts: Forecasts
    probes: Probes
    prices: Prices
    chosen: Ints
    fixed: Bools
    propensity: F64
    outcome: F64
    tokens: F64
    seconds: F64
    unit: Sequence[Hashable] | None = None

    def __post_init__(self) -> None:
        own = (self.chosen, self.fixed, self.propensity, self.outcome, self.tokens, self.seconds)
        columns = [*self.forecasts, *self.probes, *self.prices, *own, *([] if self.unit is None else [self.unit])]
        if any(len(column) != len(self) for column in columns):
            raise ValueError("the columns of logged decisions differ in length")
        if ((self.chosen < 0) | (self.chosen >= self.efforts)).any():
            raise ValueError("a decision is for none of the efforts")
        if np.isnan(self.of_chosen(self.forecasts.p_correct)[~self.fixed]).any():
            raise ValueError("a decision is for an effort without a forecast")
        if not ((self.propensity > 0) & (self.propensity <= 1 + 1e-9)).all():
            raise ValueError("a propensity lies above 0 and is at most 1")
        if not (np.isnan(self.outcome) | ((self.outcome >= 0) & (self.outcome <= 1))).all():
            raise ValueError("an outcome lies between 0 and 1")
        if (self.probes.asked & ~self.probes.possible).any():
            raise ValueError("a probe was asked for where none was possible")

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def efforts(self) -> int:
        return int(self.forecasts.p_correct.shape[1])

    def of_chosen(self, table: F64) -> F64:
        """The column [rows] of the chosen efforts, out of a table [rows, efforts]."""
        return table[np.arange(len(self)), self.chosen]

    def with_propensity(self, propensity: F64) -> Logged:
        """The same with other propensities [rows]."""
        return replace(self, propensity=propensity)

    def masses(self, prices: Prices) -> PathMasses:
        """How likely each path is at these prices."""
        same = all(np.array_equal(mine, theirs) for mine, theirs in zip(self.prices, prices, strict=True))
        return self.own_masses if same else self._masses(prices)

    @cached_property
    def own_masses(self) -> PathMasses:
        """How likely each path was at the prices of the log."""
        return self._masses(self.prices)

    def of_path(self, masses: PathMasses) -> F64:
        """The probability [rows] of the path that was taken; 1 where no price had a say."""
        found = np.where(self.probes.asked, self.of_chosen(masses.committed), self.of_chosen(masses.direct))
        return np.where(self.fixed, 1.0, found)

    def _masses(self, prices: Prices) -> PathMasses:
        offered = offers.before(self.forecasts, self.probes, prices)
        plain = np.array_equal(prices.second, self.prices.second) and not offers.limited(prices).any()
        asking = self._plain_asking if plain else self._asking(prices, offered)
        base, spreads = prices.token, prices.spreads
        low, high = price_sets.choices(offered.values, offered.slopes)
        rows = np.arange(len(self))
        direct = np.stack(
            [price_sets.mass(low[:, e], high[:, e], base, spreads, rows) for e in range(self.efforts)], axis=1
        )
        # Without a probe an effort is taken where it is best and asking does not pay.
        np.subtract.at(direct, (asking.row, asking.effort), asking.masses(base, spreads))
        low, high = price_sets.choices(*offers.after(self.forecasts, self.probes, prices))
        committed = [asking.clipped(low[:, e], high[:, e]).row_masses(base, spreads) for e in range(self.efforts)]
        return PathMasses(np.maximum(direct, 0.0), asking.row_masses(base, spreads), np.stack(committed, axis=1))

    @cached_property
    def _plain_asking(self) -> PriceSets:
        """Where nothing limits what is offered it depends on no price of a token: most targets share it."""
        prices = self.prices._replace(most_loss=np.full(len(self), np.inf))
        return self._asking(prices, offers.before(self.forecasts, self.probes, prices))

    def _asking(self, prices: Prices, offered: Offered) -> PriceSets:
        rows = np.flatnonzero(self.probes.possible & ~offered.never)
        second = prices.second[rows]
        cost = second * self.forecasts.seconds[rows, 0] + self.forecasts.other[rows, 0]
        # A probe that is asked for at any price pays whatever it costs.
        value, slope = np.where(offered.always[rows], np.inf, -cost), self.forecasts.tokens[rows, 0]
        lines = offered.values[rows, 1:], offered.slopes[rows, 1:]
        found = price_sets.ask_sets(*lines, self.probes.outcomes[rows], value, slope)
        return found._replace(row=rows[found.row], effort=found.effort + 1)

"""Guardrails while traffic runs: a few numbers for each arm and metric, whatever the number of units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from router_model.experiments.columns import Columns, by_unit
from router_model.experiments.comparison import Breach, breached, units_of
from router_model.experiments.design import Design
from router_model.experiments.difference import RunningDifference


@dataclass(frozen=True, slots=True)
class Guard:
    """What is known of every guardrail's metric, by metric and arm. Frozen: `extended` returns the next state."""

    design: Design
    found: Mapping[tuple[str, str], RunningDifference]

    @classmethod
    def of(cls, design: Design) -> Guard:
        """Before any unit."""
        metrics = [design.metric(guardrail.metric) for guardrail in design.guardrails]
        return cls(design, {(one.name, arm): RunningDifference(one.bounds) for one in metrics for arm in design.others})

    def extended(self, columns: Columns) -> Guard:
        """With units that settled since, in the order of time.

        A unit counts in one batch only: whoever feeds a guard passes its first settled request, or all requests of a
        conversation that has ended. ValueError: as `by_unit`, or a value out of bounds.
        """
        table = by_unit(columns, self.design.arms)
        found = {
            (name, arm): state.extended(units_of(table, self.design, self.design.metric(name), arm))
            for (name, arm), state in self.found.items()
        }
        return replace(self, found=found)

    def breached(self) -> list[Breach]:
        """The arms to stop. Any of them is ever stopped wrongly with a probability of at most the design's level."""
        return breached(self.found, self.design)

    def state(self) -> list[dict[str, Any]]:
        """As JSON; `of_state` reads it."""
        return [{"metric": name, "arm": arm, "sums": found.state()} for (name, arm), found in self.found.items()]

    @classmethod
    def of_state(cls, design: Design, state: list[dict[str, Any]]) -> Guard:
        return cls(design, {(one["metric"], one["arm"]): RunningDifference.of_state(one["sums"]) for one in state})

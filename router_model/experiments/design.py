"""What an experiment compares, at which weights, and when it has seen enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, nan

from router_model.experiments.metrics import Metric


@dataclass(frozen=True, slots=True)
class Guardrail:
    """An arm is stopped once it is sure to be worse on `metric` by more than `margin` (in the metric's own unit)."""

    metric: str
    margin: float = 0.0


@dataclass(frozen=True, slots=True)
class Design:
    """`phases`: the weights of all arms, one mapping for each time they were changed, 0 for an arm that got no units
    then; `against`: the arm that others are compared with. `level`: the probability that any difference of the report
    is ever decided wrongly, and that any arm is ever stopped wrongly. Half of it belongs to the `primary` metric where
    there are others, and within the halves it is divided equally (Bonferroni), so the intervals hold together.
    `stop_width`: the experiment has seen enough when the interval of every primary difference is at most so wide; it
    also has when all are decided.

    ValueError: fewer than two arms, weights that are negative, all 0 or of other arms, an unknown arm or metric, a
    level not within 0 and 1, a negative margin or width.
    """

    phases: tuple[Mapping[str, float], ...]
    against: str
    metrics: tuple[Metric, ...]
    primary: str = "outcome"
    level: float = 0.05
    guardrails: tuple[Guardrail, ...] = ()
    stop_width: float | None = None

    def __post_init__(self) -> None:
        if not self.phases or len(self.arms) < 2:
            raise ValueError("an experiment has at least two arms with weights")
        if any(phase.keys() != self.phases[0].keys() for phase in self.phases):
            raise ValueError("every phase of an experiment has the same arms")
        if not all(0 <= weight < inf for phase in self.phases for weight in phase.values()):
            raise ValueError("weights of arms are not negative")
        if not all(any(phase.values()) for phase in self.phases):
            raise ValueError("in every phase some arm has a weight above 0")
        if self.against not in self.arms:
            raise ValueError(f"there is no arm {self.against!r} to compare with")
        named = {self.primary, *(guardrail.metric for guardrail in self.guardrails)}
        unknown = named - {metric.name for metric in self.metrics}
        if unknown:
            raise ValueError(f"the experiment does not measure {', '.join(sorted(unknown))}")
        if not 0 < self.level < 1:
            raise ValueError(f"a level lies between 0 and 1: {self.level}")
        if any(not 0 <= guardrail.margin < inf for guardrail in self.guardrails):
            raise ValueError("a guardrail's margin is not negative")
        if self.stop_width is not None and not 0 < self.stop_width < inf:
            raise ValueError("the width at which an experiment stops is positive")

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(self.phases[0])

    @property
    def others(self) -> tuple[str, ...]:
        """The arms that are compared with `against`."""
        return tuple(arm for arm in self.arms if arm != self.against)

    def metric(self, name: str) -> Metric:
        """KeyError: it is not measured."""
        return {metric.name: metric for metric in self.metrics}[name]

    def level_of(self, metric: str) -> float:
        """The level of one difference on this metric."""
        rest = len(self.metrics) - 1
        if not rest:
            return self.level / len(self.others)
        return self.level / 2 / len(self.others) / (1 if metric == self.primary else rest)

    @property
    def guardrail_level(self) -> float:
        """The level at which one guardrail stops one arm."""
        return self.level / max(1, len(self.guardrails)) / len(self.others)

    def share(self, arm: str, phase: int) -> float:
        """The probability of an arm among itself and the one it is compared with; NaN where neither got units."""
        weights = self.phases[phase]
        both = weights[arm] + weights[self.against]
        return weights[arm] / both if both else nan

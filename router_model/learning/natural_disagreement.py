"""How often thinking changes an answer, without the answers that would have differed anyway.

Two answers to one request differ for two reasons: they were thought about differently, and chance. Pairs at the same
effort show chance alone. If both reasons are independent, answers of different efforts agree only where neither has
changed them, 1 - p_different = (1 - p_changed) (1 - p_same), as in Abbott's correction for what dies anyway: "A method
of computing the effectiveness of an insecticide" (Abbott, 1925, Journal of Economic Entomology 18(2):265-267).
"""

from __future__ import annotations

from typing import NamedTuple

from router_model.evaluation.intervals import wilson


class Disagreement(NamedTuple):
    """Of `pairs` comparisons, `different` found two different answers. Halves count as undecided."""

    different: float
    pairs: int

    @property
    def share(self) -> float:
        return self.different / self.pairs if self.pairs else 0.0


class ChangedByThinking(NamedTuple):
    """`estimate` of P(thinking changes the answer), in [0, 1], and an interval of at least 95 %."""

    estimate: float
    ci: tuple[float, float]


def changed_by_thinking(other_effort: Disagreement, same_effort: Disagreement) -> ChangedByThinking:
    """From pairs at two different efforts and pairs at the same one.

    The interval holds at least as often as said: it combines the ends of both Wilson intervals, of which the estimate
    grows with the first share and shrinks with the second. Without pairs at the same effort its lower end is 0, as
    all of the difference may be chance; the estimate then takes none of it off.
    ValueError: more differences than pairs, or a negative number.
    """
    for name, given in (("other_effort", other_effort), ("same_effort", same_effort)):
        if not 0 <= given.different <= given.pairs:
            raise ValueError(f"{name}: {given.different:g} different of {given.pairs} pairs")
    low, high = wilson(other_effort.share, other_effort.pairs)
    least, most = wilson(same_effort.share, same_effort.pairs)
    estimate = _without_chance(other_effort.share, same_effort.share)
    return ChangedByThinking(estimate, (_without_chance(low, most), _without_chance(high, least)))


def _without_chance(different: float, same: float) -> float:
    """Where answers of one effort never agree, nothing can be told of thinking: 0."""
    return min(max((different - same) / (1 - same), 0.0), 1.0) if same < 1 else 0.0

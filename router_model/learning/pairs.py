"""What pairs of answers to one request say about each, where nobody said whether either is right.

Two answers that agree are as good as each other. Where they differ, thinking is held to have made the better one, as
far as differences are not chance and as often as better sources found it so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from router_model.learning.natural_disagreement import Disagreement, changed_by_thinking

# How often thinking makes the better one of two answers that differ, before anybody has said, and how many pairs that
# is worth; how good answers with thinking are, where fewer than so many outcomes of them are known.
USUALLY_BETTER, PRIOR_PAIRS, LEAST_KNOWN = 0.9, 10.0, 20


class PairKnowledge(NamedTuple):
    """`by_thinking`: of differences, the share that is not chance; `better`: how often thinking is better then.

    `right`: how good answers with thinking are.
    """

    by_thinking: float = 1.0
    better: float = USUALLY_BETTER
    right: float = 1.0

    def scores(self, changed: float) -> tuple[float, float]:
        """How good the answer without thinking is, and the one with, by whether they differ (0 to 1)."""
        caused = min(max(changed, 0.0), 1.0) * self.by_thinking
        return self.right * (1 - caused * self.better), self.right * (1 - caused * (1 - self.better))


def pair_knowledge(
    changed: Sequence[float], varied: Sequence[float], differences: Sequence[float], think_right: Sequence[float]
) -> PairKnowledge:
    """`changed` and `varied` are 1 where two answers at different efforts, or at the same, differed. `differences`: by
    how much thinking was better, by better sources, where answers differed; `think_right` the outcomes of answers with
    thinking by these.
    """
    other = Disagreement(sum(changed), len(changed))
    found = changed_by_thinking(other, Disagreement(sum(varied), len(varied))).estimate
    by_thinking = found / other.share if other.share else 1.0
    told = [one for one in differences if one]
    better = (sum(one > 0 for one in told) + USUALLY_BETTER * PRIOR_PAIRS) / (len(told) + PRIOR_PAIRS)
    right = sum(think_right) / len(think_right) if len(think_right) >= LEAST_KNOWN else 1.0
    return PairKnowledge(by_thinking, better, right)

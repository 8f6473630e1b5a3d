"""What a judge says of two answers, whichever order it read them in, and whether it can be listened to at all."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from gateway.verification.agreement.normal_text import normal

# Of the two answers: the first is better, the second is, or neither.
Judgement = Literal["first", "second", "tie"]
# What a judge of both orders comes to: `flipped` where the order decides, `invalid` where it did not keep to the form.
Verdict = Literal["first", "second", "tie", "flipped", "invalid"]
_WORDS: dict[str, Judgement] = {"a": "first", "b": "second", "tie": "tie"}
_REPLY = re.compile(r"(?:answer )?(a|b|tie)(?: is better)?").fullmatch
_SWAPPED: dict[Judgement, Judgement] = {"first": "second", "second": "first", "tie": "tie"}
# A judge is not used once more than this share of its verdicts surely depends on the order alone, or has another form
# than it was told to give: 18 of 20 such verdicts are enough to say so, and it takes 20 to know a judge at all.
MOST_USELESS = 0.7
LEAST_VERDICTS = 20
_Z = 1.645


def read(reply: str) -> Judgement | None:
    """The word that the judge was told to reply with, alone or in the shortest sentence; None: it did not."""
    found = _REPLY(normal(reply))
    return None if found is None else _WORDS[found[1]]


def both_orders(straight: Judgement | None, swapped: Judgement | None) -> Verdict:
    """`straight` is of the answers in their order, `swapped` of the same with the second one shown first."""
    if straight is None or swapped is None:
        return "invalid"
    again = _SWAPPED[swapped]
    if straight == again:
        return straight
    # Better in one order and as good in the other: still no order in which it is worse.
    if "tie" in (straight, again):
        return "tie"
    return "flipped"


@dataclass(slots=True)
class JudgeRecord:
    """What a judge has done so far. A preference for the place is no preference: such verdicts count as a tie."""

    verdicts: int = 0
    useless: int = 0
    decided: int = 0
    first_shown: int = 0

    def add(self, straight: Judgement | None, swapped: Judgement | None) -> Judgement | None:
        """What to make of it; None: nothing."""
        verdict = both_orders(straight, swapped)
        self.verdicts += 1
        self.useless += verdict in ("flipped", "invalid")
        for said in (straight, swapped):
            self.decided += said in ("first", "second")
            self.first_shown += said == "first"
        if verdict == "invalid":
            return None
        return "tie" if verdict == "flipped" else verdict

    @property
    def position_bias(self) -> float | None:
        """How much more often than half of the time it prefers what it reads first, from -0.5 to 0.5."""
        return self.first_shown / self.decided - 0.5 if self.decided else None

    @property
    def is_known(self) -> bool:
        return self.verdicts >= LEAST_VERDICTS

    @property
    def is_useless(self) -> bool:
        """Whether the order surely decides too often: by the lower end of Wilson's one-sided interval at 95 %.

        "Probable Inference, the Law of Succession, and Statistical Inference" (Wilson, 1927, JASA 22(158):209-212).
        """
        n = self.verdicts
        if not self.is_known:
            return False
        share, square = self.useless / n, _Z * _Z / n
        middle = share + square / 2
        half = _Z * math.sqrt(share * (1 - share) / n + square / (4 * n))
        return (middle - half) / (1 + square) > MOST_USELESS

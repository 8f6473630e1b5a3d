"""What the answers of one effort took at one deployment."""

from __future__ import annotations

from math import log1p, log2
from typing import NamedTuple

from gateway.backends.level_usage.token_histogram import TokenHistogram
from gateway.core.forecast import EffortForecast
from router_model.experiments.asymptotic import ScaledSums

# An answer has thought that took more thinking tokens than this: some engines count the empty tags.
THOUGHT = 16


class Answered(NamedTuple):
    """One answer: its `tokens` in all, those of its reasoning where known, and whether a limit ended it."""

    tokens: int
    thinking: int | None
    cut: bool


class Stratum(NamedTuple):
    """Requests that are alike by their forecast, or without one by their length: `kind` says which."""

    kind: str
    difficulty: int
    size: int


def stratum_of(weakest: EffortForecast | None, prompt_tokens: int) -> Stratum:
    """`weakest` is the forecast of the weakest effort, which nothing that is found here changes in these respects:
    fifths of P(correct), and fourfold steps of the tokens of its answer.
    """
    if weakest is None:
        return Stratum("prompt", 0, _step(prompt_tokens))
    return Stratum("forecast", min(int(weakest.p_correct * 5), 4), _step(weakest.answer_tokens))


def _step(tokens: float) -> int:
    return min(int(log2(1 + max(tokens, 0.0)) / 2), 8)


class Alike(NamedTuple):
    """Answers in one stratum: their number and mean tokens, and the sums of log(1 + tokens)."""

    mean: float = 0.0
    logs: ScaledSums = ScaledSums()

    @property
    def n(self) -> int:
        return self.logs.n

    def added(self, tokens: int) -> Alike:
        logs = self.logs.added(log1p(tokens))
        return Alike(self.mean + (tokens - self.mean) / logs.n, logs)


class LevelSample:
    """The answers of one effort at one deployment. `mean` is that of their tokens, `thought` the share that has
    reasoned, where that is known.
    """

    __slots__ = ("cut", "mean", "strata", "thought", "tokens")

    def __init__(self) -> None:
        self.cut = 0
        self.mean = 0.0
        self.thought = ScaledSums()
        self.strata: dict[Stratum, Alike] = {}
        self.tokens = TokenHistogram()

    @property
    def n(self) -> int:
        return self.tokens.total

    def add(self, answered: Answered, stratum: Stratum) -> None:
        if answered.thinking is not None:
            self.thought = self.thought.added(float(answered.thinking > THOUGHT))
        self.cut += answered.cut
        self.tokens.add(answered.tokens)
        self.mean += (answered.tokens - self.mean) / self.n
        self.strata[stratum] = self.strata.get(stratum, Alike()).added(answered.tokens)

"""What an experiment measures of each request, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from router_model.experiments.mean import Bounds


@dataclass(frozen=True, slots=True)
class Metric:
    """`better`: whether high or low values are; `bounds` [low, high] of a value, None where none are known.

    The words are for verdicts: an arm `verb` so many `points` (hundredths of a share) or `%` (of the other arm's mean)
    `more` or `less`.
    """

    name: str
    better: Literal["higher", "lower"]
    bounds: Bounds | None
    unit: Literal["points", "%"]
    verb: str
    more: str
    less: str

    @property
    def sign(self) -> float:
        """1 where more is better, -1 where less is."""
        return 1.0 if self.better == "higher" else -1.0


def share(name: str, better: Literal["higher", "lower"], verb: str, more: str, less: str) -> Metric:
    """A metric of values in [0, 1]."""
    return Metric(name, better, (0.0, 1.0), "points", verb, more, less)


def amount(name: str, verb: str, more: str, less: str) -> Metric:
    """A metric of values without known bounds, of which less is better."""
    return Metric(name, "lower", None, "%", verb, more, less)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        share("outcome", "higher", "answers", "more right", "less right"),
        amount("thinking_tokens", "takes", "more thinking tokens", "fewer thinking tokens"),
        amount("total_tokens", "takes", "more tokens", "fewer tokens"),
        amount("dollars", "costs", "more dollars", "fewer dollars"),
        amount("ttft_s", "takes", "longer to the first token", "less time to the first token"),
        amount("first_answer_s", "takes", "longer to the first answer token", "less time to the first answer token"),
        amount("latency_s", "takes", "longer for the whole answer", "less time for the whole answer"),
        share("error", "lower", "has", "more errors", "fewer errors"),
        share("over_budget", "lower", "has", "more answers over budget", "fewer answers over budget"),
        share("leak", "lower", "has", "more no-think answers with reasoning", "fewer no-think answers with reasoning"),
    )
}

"""What each effort really takes at each deployment: found out from answers, and priced as what it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, log1p

from gateway.backends.level_usage.comparison import compare, is_measured
from gateway.backends.level_usage.sample import Answered, LevelSample, Stratum
from gateway.core import efforts
from gateway.core.arm import Arm
from gateway.core.efforts import LEVELS, NO_THINKING, Effort
from gateway.core.forecast import EffortForecast, Forecast
from router_model.experiments import asymptotic

log = logging.getLogger("thinkgate")

# A level that surely takes less than a quarter more than the one below it changes nothing, if no stratum shows a half.
SAME, SAME_IN_EACH = log1p(0.25), log1p(0.5)
# No thinking is not applied where more than this share of its answers has reasoned.
MOST_THOUGHT = 0.1
# Answers between two looks at a deployment's levels, levels of one deployment, and answers after which one begins anew.
LOOKS, MOST_LEVELS, MOST_ANSWERS = 25, 24, 50_000
NONE = "none"


@dataclass(frozen=True, slots=True)
class Finding:
    """An effort of a deployment that is not what it is called: it changes nothing over the weaker one `like`, or, for
    no thinking, the model thinks nevertheless (`like` None).
    """

    deployment: str
    level: str
    like: str | None

    @property
    def what(self) -> str:
        return "none still thinks" if self.like is None else f"{self.level} changes nothing over {self.like}"


@dataclass(slots=True)
class _Deployment:
    samples: dict[str, LevelSample] = field(default_factory=dict)
    # What each decided effort was applied as.
    applied: dict[str, str] = field(default_factory=dict)
    found: dict[str, Finding] = field(default_factory=dict)
    seen: int = 0


class LevelUsage:
    """Called on the event loop. `report` is called with a deployment, what is wrong with it, and whether it still is.

    At most `MOST_LEVELS` efforts of each deployment are known, each by a sample of constant size.
    """

    def __init__(
        self, report: Callable[[str, str, bool], None] = lambda deployment, what, does: None, warns: bool = True
    ) -> None:
        """`warns`: findings are logged."""
        self.report = report
        self._level = logging.WARNING if warns else logging.DEBUG
        self._of: dict[str, _Deployment] = {}

    def adopt(self, others: LevelUsage, deployments: Collection[str]) -> None:
        """Go on with what others have seen of these deployments."""
        self._of = {name: seen for name, seen in others._of.items() if name in deployments}

    def observe(self, deployment: str, decided: str, applied: str, answered: Answered, stratum: Stratum) -> None:
        """A complete answer of one choice. A budget that was changed on its way, by a limit or a family, is ignored:
        there are any number of them.
        """
        if applied.isdecimal() and applied != decided:
            return
        known = self._of.setdefault(deployment, _Deployment())
        sample = known.samples.get(applied)
        if sample is None or sample.n >= MOST_ANSWERS:
            if sample is None and len(known.samples) >= MOST_LEVELS:
                return
            sample = known.samples[applied] = LevelSample()
        sample.add(answered, stratum)
        if len(known.applied) < MOST_LEVELS:
            known.applied[decided] = applied
        known.seen += 1
        if known.seen % LOOKS == 0:
            self._look(deployment, known)

    @property
    def is_empty(self) -> bool:
        return not self._of

    def findings(self) -> list[Finding]:
        return [finding for known in self._of.values() for finding in known.found.values()]

    def samples(self) -> dict[str, dict[str, LevelSample]]:
        """By deployment and level, weakest first."""
        return {name: dict(sorted(known.samples.items(), key=_rank)) for name, known in self._of.items()}

    def priced(self, arm: Arm, forecast: Forecast, stratum: Stratum) -> Forecast:
        """The forecast with those efforts as what they are that were found to be no such thing.

        A level that changes nothing is as often right as the one that it is like, and takes what it was measured to
        take in this stratum, if it was measured there. No thinking that thinks takes what was measured there, or
        anywhere.
        """
        if not any(known.found for known in self._of.values()):
            return forecast
        right = {one.effort: one.p_correct for one in forecast.efforts}
        found: list[EffortForecast] = []
        for one in forecast.efforts:
            found.append(self._as_measured(arm, one, stratum, right, forecast.probed))
            right[one.effort] = found[-1].p_correct
        return forecast.with_efforts(tuple(found))

    def _as_measured(
        self, arm: Arm, one: EffortForecast, stratum: Stratum, right: dict[Effort, float], probed: bool
    ) -> EffortForecast:
        known = self._of.get(arm.deployment_for(one.effort).name)
        applied = None if known is None else known.applied.get(efforts.words(one.effort))
        if known is None or applied is None or applied not in known.found:
            return one
        finding, sample = known.found[applied], known.samples[applied]
        measured = is_measured(sample, stratum)
        if (not measured and finding.like is not None) or (probed and not one.effort.think):
            return one
        mean = sample.strata[stratum].mean if measured else sample.mean
        thinking = max(mean - one.answer_tokens, 0.0)
        tokens = one.tokens
        seconds = one.seconds * (thinking + one.answer_tokens) / tokens if tokens else one.seconds
        like = [effort for effort in right if known.applied.get(efforts.words(effort)) == finding.like]
        p_correct = right[like[0]] if finding.like is not None and like else one.p_correct
        return one._replace(p_correct=p_correct, thinking_tokens=thinking, seconds=seconds)

    def _look(self, deployment: str, known: _Deployment) -> None:
        before = dict(known.found)
        levels = sorted(known.samples.items(), key=_rank)
        thinks = _still_thinks(levels)
        if thinks is not None:
            _note(known, Finding(deployment, NONE, None), thinks)
        for (weak, below), (strong, above) in pairwise(levels):
            if weak == NONE and NONE in known.found:
                _note(known, Finding(deployment, strong, weak), False)
                continue
            compared = compare(below, above)
            if compared.upper < SAME and compared.largest < SAME_IN_EACH:
                _note(known, Finding(deployment, strong, weak), True)
            elif compared.lower > SAME:
                _note(known, Finding(deployment, strong, weak), False)
        for level in known.found.keys() | before.keys():
            self._tell(deployment, before.get(level), known.found.get(level))

    def _tell(self, deployment: str, before: Finding | None, now: Finding | None) -> None:
        if before == now:
            return
        if before is not None:
            self.report(deployment, before.what, False)
        if now is not None:
            self.report(deployment, now.what, True)
            log.log(self._level, "deployment %s: %s, by the tokens that its answers take", deployment, now.what)


def _note(known: _Deployment, finding: Finding, holds: bool) -> None:
    if holds:
        known.found[finding.level] = finding
    elif known.found.get(finding.level) == finding:
        del known.found[finding.level]


def _still_thinks(levels: list[tuple[str, LevelSample]]) -> bool | None:
    """Whether no thinking is not applied: reasoning is seen, or it takes more than a level does; None: unknown."""
    none = dict(levels).get(NONE)
    if none is None:
        return None
    if asymptotic.one_sided(none.thought, 0.001, -1) > MOST_THOUGHT:
        return True
    compared = [compare(none, sample) for name, sample in levels if name != NONE]
    if any(one.upper < 0 for one in compared):
        return True
    known = asymptotic.one_sided(none.thought, 0.001, 1) < MOST_THOUGHT
    return False if known or any(one.lower > 0 for one in compared) else None


def _rank(item: tuple[str, LevelSample]) -> tuple[float, str]:
    """Weakest first."""
    level = item[0]
    if level.isdecimal():
        return float(level), level
    return efforts.size(LEVELS.get(level, NO_THINKING)) if level != "unlimited" else inf, level

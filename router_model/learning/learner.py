"""Makes a new version of a router from what was observed of live traffic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from router_model.adapting import calibrate
from router_model.data.outcomes import OutcomeError
from router_model.learning import trust, weights
from router_model.learning.history import History, history
from router_model.learning.observation import Observation
from router_model.model.artifact import Artifact
from router_model.model.predict import Predictor
from router_model.training import selection, train

# How often each source has said something, with what weight: for the card.
SourceCounts = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class LearnSettings:
    """`now` in seconds since 1970; `forget_s`: after so many an outcome counts half as much."""

    now: float
    forget_s: float = 30 * 86_400.0
    most_of_key: float = 0.2


@dataclass(frozen=True, slots=True)
class Learned:
    """A new version, and what it was learned from, as JSON: `about`."""

    artifact: Artifact
    about: dict[str, Any]


def learn(
    base: Artifact,
    observations: Sequence[Observation],
    name: str,
    settings: LearnSettings,
    say: Callable[[str], None],
) -> Learned:
    """Raises OutcomeError: too little was observed, or of one effort only.

    The outcomes decide how far the new version moves away from `base`: of three, the one with the best forecasts for
    prompts that it has not seen. All are equal for equal observations.
    """
    usable = [one for one in observations if len(one.features.row) == _inputs(base)]
    if len(usable) < calibrate.LEAST_PROMPTS:
        raise OutcomeError(f"{len(usable)} outcomes are too few to learn from: it takes {calibrate.LEAST_PROMPTS}")
    whole = history(usable)
    by_key = trust.of_keys(whole, Predictor(base))
    weight = weights.of_requests(
        whole, settings.now, settings.forget_s, settings.most_of_key, trust.of_rows(by_key, whole.keys)
    )
    chosen = whole.rows(weights.thinned(weight))
    if len(chosen) < calibrate.LEAST_PROMPTS:
        raise OutcomeError(f"{len(chosen)} requests are too few to learn from: it takes {calibrate.LEAST_PROMPTS}")
    artifact = _fitted(base, chosen, name, say)
    return Learned(artifact, _about(base, whole, chosen, by_key, settings))


def _fitted(base: Artifact, chosen: History, name: str, say: Callable[[str], None]) -> Artifact:
    table = selection.trainable(chosen.table, say, calibrate.LEAST_PROMPTS)
    # Those of the arms that are left, in the same order.
    had = (~np.isnan(chosen.table.columns(table.arms).correct)).any(axis=1)
    rest = chosen.rows(np.flatnonzero(had)).with_table(table)
    data = rest.training_set()
    tried = [
        train.train(table, name, how.of(base), say, calibrate.fitter(base, how, extend=False), data)
        for how in calibrate.candidates()
    ]
    artifact = min(tried, key=calibrate.error_of)
    return replace(artifact, about={**artifact.about, "adapted_from": base.version})


def _inputs(base: Artifact) -> int:
    from router_model.model.artifact import inputs_of

    return inputs_of(base.projection, base.need)


def _about(
    base: Artifact, whole: History, chosen: History, by_key: Mapping[str | None, float], settings: LearnSettings
) -> dict[str, Any]:
    doubtful = {str(key): round(value, 4) for key, value in by_key.items() if value < 1}
    return {
        "from": base.version,
        "requests": len(whole),
        "learned_from": len(chosen),
        "keys": len(by_key),
        "distrusted_keys": doubtful,
        "first": _date(float(whole.time.min())),
        "last": _date(float(whole.time.max())),
        "forget_days": settings.forget_s / 86_400,
    }


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()

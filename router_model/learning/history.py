"""Observations as an outcome table whose prompts are features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.outcomes import Arm, Outcomes, PromptRow
from router_model.learning.observation import Observation
from router_model.model.kept_features import KeptFeatures
from router_model.model.need import Need
from router_model.model.probe import PROBE_NAMES
from router_model.model.trees import F32
from router_model.training.fitting import TrainingSet, token_targets

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class History:
    """One row for each request; `table` holds its outcomes by effort, `weight` and `time` [rows], `keys` whose each is.

    The newest outcome of an effort stands where a request has several.
    """

    features: tuple[KeptFeatures, ...]
    table: Outcomes
    weight: F64
    time: F64
    keys: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, chosen: NDArray[np.intp]) -> History:
        return History(
            tuple(self.features[i] for i in chosen.tolist()),
            self.table.rows(chosen),
            self.weight[chosen],
            self.time[chosen],
            tuple(self.keys[i] for i in chosen.tolist()),
        )

    def with_table(self, table: Outcomes) -> History:
        """With other arms."""
        return History(self.features, table, self.weight, self.time, self.keys)

    @property
    def x(self) -> F32:
        """The rows of features [rows, inputs]."""
        return np.stack([one.row for one in self.features])

    def training_set(self) -> TrainingSet:
        return TrainingSet(self.table, self.features, [], token_targets(self.table), kept_rows)


def kept_rows(
    features: Sequence[KeptFeatures], vocabulary: Mapping[bytes, int], projection: F32, need: Need | None = None
) -> tuple[F32, F64]:
    """What was read is there already, by the same vocabulary and directions."""
    return np.stack([one.row for one in features]), np.array([one.novelty for one in features], np.float64)


def history(observations: Sequence[Observation]) -> History:
    """In the order of time. ValueError: there are none."""
    if not observations:
        raise ValueError("nothing was observed")
    ordered = sorted(observations, key=lambda one: (one.time, one.request))
    at: dict[str, int] = {}
    for one in ordered:
        at.setdefault(one.request, len(at))
    arms = sorted({_arm(one) for one in ordered})
    column = {arm: place for place, arm in enumerate(arms)}
    shape = len(at), len(arms)
    correct, completion, thinking = (np.full(shape, np.nan) for _ in range(3))
    probes = {arm: np.full((len(at), len(PROBE_NAMES)), np.nan) for arm in arms if not arm.think}
    first: dict[int, Observation] = {}
    weight = np.zeros(len(at))
    for one in ordered:
        row, arm = at[one.request], _arm(one)
        first.setdefault(row, one)
        weight[row] = max(weight[row], one.weight)
        cell = row, column[arm]
        correct[cell] = one.right
        completion[cell] = np.nan if one.completion is None else one.completion
        thinking[cell] = np.nan if one.thinking is None else one.thinking
        _note_probe(one, row, arms, column, correct, probes)
    kept = tuple(first[row].features for row in range(len(at)))
    table = Outcomes(
        tuple(_prompt(one) for one in kept),
        tuple(arms),
        correct,
        completion,
        thinking,
        {arm: rows for arm, rows in probes.items() if not np.isnan(rows).all()},
    )
    owners = [first[row] for row in range(len(at))]
    return History(kept, table, weight, np.array([one.time for one in owners]), tuple(one.key for one in owners))


def _note_probe(
    one: Observation,
    row: int,
    arms: Sequence[Arm],
    column: Mapping[Arm, int],
    correct: F64,
    probes: Mapping[Arm, F64],
) -> None:
    """The probe of an answer without thinking. Where it was thrown away nobody knows how good that answer was: what
    was forecast after it stands in, or only probes that convinced would count.
    """
    none = next((arm for arm in arms if not arm.think and (arm.model == one.model or not one.think)), None)
    if one.probe is None or none is None:
        return
    probes[none][row] = one.probe
    if one.think and one.skipped is not None and np.isnan(correct[row, column[none]]):
        correct[row, column[none]] = one.skipped


def _arm(one: Observation) -> Arm:
    if not one.think:
        return Arm(one.model, "nothink")
    return Arm(one.model, "think") if one.budget is None else Arm(one.model, "budget", one.budget)


def _prompt(kept: KeptFeatures) -> PromptRow:
    """Grouped with all that are equal, so that no fold knows another's prompts."""
    group = kept.group
    return PromptRow(group, "traffic", "traffic", group, [{"role": "user", "content": group}])

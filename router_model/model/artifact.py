"""The router artifact in memory.

On disk it is `artifact.json` (the header), `weights.npz` (the arrays) and `CARD.md` (a description); see
`artifact_reader` and `artifact_writer`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.decision.holdout import HeldOut
from router_model.features.request import DENSE_NAMES, FEATURES_VERSION
from router_model.model.need import Need
from router_model.model.probe import PROBE_NAMES, ProbeValueModel
from router_model.model.trees import F32, Trees

# 5 has stages that are calibrated in probability; artifacts without are still written as 4.
FORMAT = 5
FORMATS = (4, 5)
TREE_ARRAYS = ("feature", "threshold", "rules_out", "values", "base")


class ArtifactError(ValueError):
    """The artifact is unusable; the message is one line that says why."""


@dataclass(frozen=True, slots=True, order=True)
class Head:
    """One effort of one model that the router forecasts.

    `budget` None: unlimited (think) or not applicable (no think).
    """

    model: str
    think: bool
    budget: int | None = None

    @property
    def name(self) -> str:
        effort = "nothink" if not self.think else "think" if self.budget is None else f"budget-{self.budget}"
        return f"{self.model}/{effort}"


@dataclass(frozen=True, slots=True)
class Stage:
    """Trees and the calibration of their outputs.

    `calibration` [heads, 4]: the logit z of a prompt of novelty w becomes a z + b + w (c z + d). With `by_probability`
    that holds for the probability of z instead, with equal a and c for all heads: prompts keep the order of the trees'
    differences between efforts, which lines on logits do not. `token_scale` [heads, 2] corrects mean thinking and
    answer tokens. `spread` [heads, 2, 2, quantiles] holds quantiles of log(1 + real tokens) - log(1 + forecast), of
    thinking and answer, for familiar and for out-of-distribution requests, at each of `LEVELS`.
    """

    trees: Trees
    calibration: F32
    token_scale: F32
    spread: F32
    by_probability: bool = False

    def restricted(self, heads: Sequence[int]) -> Stage:
        """Only these heads."""
        outputs = np.concatenate([np.array(heads) + part * len(self.calibration) for part in range(3)])
        return Stage(
            self.trees.restricted(outputs),
            self.calibration[heads],
            self.token_scale[heads],
            self.spread[heads],
            self.by_probability,
        )


@dataclass(frozen=True, slots=True)
class Probed:
    """For one probed head: the stage that uses the probe, and the model of the probe's value."""

    stage: Stage
    reveals: ProbeValueModel


@dataclass(frozen=True, slots=True)
class Artifact:
    """Everything a predictor needs.

    `vocabulary` maps each term to its row of `projection` [terms, k]. `text_stage` forecasts from the request alone;
    `probed` by the index of the head that was probed, for heads with enough probes in the data. `ood_calibration` is
    slope and offset of logit P(out of distribution | novelty), at even prior odds. `seen` are the sorted hashes of the
    prompts it was trained on. `held_out` are some of those prompts, with out-of-fold forecasts. `ordered` are the
    models whose forecasts do not decrease with the budget, because that was measured to forecast better. None: all,
    as was taken for granted before it was measured. `over_budget` are the heads whose thoughts were measured to exceed
    their budgets, as those of levels do: forecasts of their thinking tokens may, too. `need`, if there is one, is
    an input of the trees between the counts and the directions. `features` is the version of the features.
    """

    version: str
    heads: tuple[Head, ...]
    text_stage: Stage
    probed: Mapping[int, Probed]
    vocabulary: Mapping[bytes, int]
    projection: F32
    ood_calibration: tuple[float, float]
    held_out: HeldOut
    seen: NDArray[np.uint64]
    about: Mapping[str, Any]
    ordered: frozenset[str] | None = None
    over_budget: frozenset[Head] = frozenset()
    need: Need | None = None
    features: int = FEATURES_VERSION

    def restricted(self, heads: Sequence[int]) -> Artifact:
        """Only these heads. ValueError: none."""
        if not heads:
            raise ValueError("an artifact has at least one head")
        return replace(
            self,
            heads=tuple(self.heads[i] for i in heads),
            text_stage=self.text_stage.restricted(heads),
            probed={
                new: replace(self.probed[old], stage=self.probed[old].stage.restricted(heads))
                for new, old in enumerate(heads)
                if old in self.probed
            },
            held_out=self.held_out.restricted(heads),
        )


def fingerprint(text: str) -> np.uint64:
    """The 64-bit hash under which `Artifact.seen` stores a question's stem."""
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))


def feature_layout(version: int = FEATURES_VERSION) -> dict[str, int]:
    """The version and sizes of features, as in the header."""
    return {"version": version, "dense": len(DENSE_NAMES), "probe": len(PROBE_NAMES)}


def inputs_of(projection: NDArray[Any], need: Need | None) -> int:
    """The number of features of the text stage."""
    return len(DENSE_NAMES) + int(need is not None) + int(projection.shape[1])

"""Adapts a router to an operator's own deployments, from a few dozen prompts upwards.

The adapted router mixes the forecasts of its base (`router_model.adapting.adapt`) and adds terms and trees of the
operator's own traffic as far as outcomes support them. It is cross-validated, calibrated, saved, evaluated and served
like any other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_model.adapting import adapt
from router_model.adapting.adapt import Shrinkage
from router_model.data import outcome_reader
from router_model.data.outcomes import Arm, OutcomeError, Outcomes
from router_model.evaluation import matching
from router_model.features.request import Features
from router_model.model import artifact_reader, artifact_writer
from router_model.model.artifact import Artifact, Stage, fingerprint, inputs_of
from router_model.model.probe import PROBE_NAMES
from router_model.model.trees import F32, Trees
from router_model.training import card, selection, text_projection, train
from router_model.training.boosting import Boosting, grow
from router_model.training.calibration import likeliest
from router_model.training.fitting import Fit, Fitter, TrainingSet, probed_arms
from router_model.training.settings import Settings as TrainSettings

Matrix = NDArray[np.float64]
# Fewer prompts than this cannot even be cross-validated.
LEAST_PROMPTS = 20
# The share of the operator's own traffic, the most novel, that counts as out of distribution.
OOD_SHARE = 0.1
_SETTINGS = TrainSettings(
    boosting=Boosting(rounds=60),
    directions=8,
    least_uses=3,
    least_prompts=LEAST_PROMPTS,
    prior_precision=300.0,
    ood_share=OOD_SHARE,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to adapt: the training settings, and the shrinkage of mixtures."""

    train: TrainSettings = _SETTINGS
    shrinkage: Shrinkage = field(default_factory=Shrinkage)

    def of(self, base: Artifact) -> TrainSettings:
        """The training settings, with the features that `base` reads."""
        return replace(self.train, features=base.features)


def run(
    router: str | Path,
    data: Sequence[Path],
    out: Path,
    *,
    models: Sequence[str] = (),
    settings: Settings | None = None,
    say: Callable[[str], None] = print,
) -> Artifact:
    """Adapt a router, by folder or name, to tables, and write it to `out`. Raises OutcomeError or ArtifactError."""
    started = time.perf_counter()
    base = artifact_reader.load(router)
    table = usable(outcome_reader.read(data), models, say)
    overlap = int(np.isin(fingerprints(table), base.seen).sum())
    if overlap:
        say(f"{overlap} of {len(table)} prompts were in the training data of {base.version}: these figures flatter")
    artifact = calibrate(base, table, out.name, settings, say)
    notes = (
        f"\nAdapted from `{base.version}`: mixtures of its forecasts, with additional trees for what they cannot fit.\n"
    )
    artifact_writer.save(artifact, out, card.text(artifact, [Path(p).name for p in data], notes))
    say(card.summary(artifact))
    say(f"Wrote {out.absolute()} ({artifact.version}, from {base.version}) in {time.perf_counter() - started:.0f} s")
    return artifact


def usable(table: Outcomes, models: Sequence[str], say: Callable[[str], None]) -> Outcomes:
    """The rows and arms to adapt to, of these models or of all. Raises OutcomeError."""
    if models:
        unknown = [model for model in models if model not in {arm.model for arm in table.arms}]
        if unknown:
            there = ", ".join(sorted({arm.model for arm in table.arms})[:12])
            raise OutcomeError(f"no outcomes of {', '.join(unknown)} in the data; there are: {there}")
        table = table.columns([arm for arm in table.arms if arm.model in models])
    table = selection.without_test_prompts(table, say)
    if len(table) < LEAST_PROMPTS:
        raise OutcomeError(f"{len(table)} prompts are too few to calibrate on: it takes {LEAST_PROMPTS}, better 100")
    return selection.trainable(table, say, LEAST_PROMPTS)


def fingerprints(table: Outcomes) -> NDArray[np.uint64]:
    """The hashes by which artifacts recognise training prompts."""
    return np.array([fingerprint(prompt.stem) for prompt in table.prompts], np.uint64)


def candidates() -> list[Settings]:
    """The candidates: nearly the unchanged base, mixtures with few trees, and mixtures with many."""

    def trees(rounds: int) -> TrainSettings:
        return replace(_SETTINGS, boosting=replace(_SETTINGS.boosting, rounds=rounds))

    firm = Shrinkage(slope=100.0, lean=3000.0, offset=10.0, probe=200.0)
    return [Settings(trees(3), firm), Settings(trees(10)), Settings(trees(60))]


def calibrate(
    base: Artifact, table: Outcomes, name: str, settings: Settings | None = None, say: Callable[[str], None] = print
) -> Artifact:
    """Adapt `base` to these outcomes. Raises OutcomeError.

    Without `settings`, the amount of adaptation is chosen by cross-validation.
    """
    tried = [settings] if settings else candidates()
    adapted = [train.train(table, name, how.of(base), say, fitter(base, how)) for how in tried]
    artifact = min(adapted, key=error_of)
    return replace(
        artifact,
        seen=np.union1d(artifact.seen, base.seen),
        about={**artifact.about, "adapted_from": base.version},
    )


def error_of(artifact: Artifact) -> float:
    """The error of its out-of-fold forecasts: the mean Brier score of its heads."""
    scores = [row["brier"] for row in artifact.about["cross_validated"] if row["brier"] is not None]
    return float(np.mean(scores)) if scores else 0.0


def fitter(base: Artifact, how: Settings, extend: bool = True) -> Fitter:
    """The fitter for `train.train`: mixtures of the base's forecasts, with additional trees.

    `extend`: the vocabulary gets terms of these prompts, whose texts must be there.
    """

    def fit(data: TrainingSet, rows: NDArray[np.intp], settings: TrainSettings) -> Fit:
        table, views = data.table, data.views(rows)
        own = (base.vocabulary, base.projection)
        known, projection = _extended(base, views[0], settings) if extend else own
        x, _ = data.encode([*chain(*views)], known, projection, base.need)
        copies = len(views)
        rows = np.tile(rows, copies)
        targets = _Targets(table.arms, table.correct[rows], data.tokens[rows], np.full(len(rows), 1 / copies))
        mixed, lines = _mixed(base, base.text_stage, x[:, : inputs_of(base.projection, base.need)], targets, how)
        start = mixed.score_all(x).astype(np.float64)
        text_stage = mixed.beside(grow(x, targets.correct, targets.tokens, settings.boosting, start))
        probed, probed_lines = {}, {}
        for arm in probed_arms(table, settings):
            probe = table.probes[arm][rows]
            has = np.flatnonzero(~np.isnan(probe[:, 0]))
            at = table.arms.index(arm)
            probed[at], probed_lines[at] = _after_probe(base, arm, x[has], probe[has], targets.rows(has), how)
        # The effect of novelty is taken from the base, which was trained on more kinds of work than these prompts.
        return Fit(known, projection, text_stage, probed, lines, probed_lines, base.need)

    return fit


@dataclass(frozen=True, slots=True)
class _Targets:
    """Training targets: outcomes [rows, arms], token targets [rows, 2 x arms], and sample weights [rows]."""

    arms: Sequence[Arm]
    correct: Matrix
    tokens: Matrix
    weight: Matrix

    def rows(self, chosen: NDArray[np.intp]) -> _Targets:
        return _Targets(self.arms, self.correct[chosen], self.tokens[chosen], self.weight[chosen])


def _extended(base: Artifact, chosen: Sequence[Features], settings: TrainSettings) -> tuple[dict[bytes, int], F32]:
    """The vocabulary and text projection of the base, extended by terms and directions of these prompts."""
    own, found, _ = text_projection.fit(
        chosen, np.zeros((len(chosen), 0)), settings.directions, 0, settings.least_uses, settings.seed
    )
    known = dict(base.vocabulary)
    for term in own:
        known.setdefault(term, len(known))
    old = base.projection.shape[1]
    projection = np.zeros((len(known), old + found.shape[1]), np.float32)
    projection[: len(base.vocabulary), :old] = base.projection
    projection[[known[term] for term in own], old:] = found[[*own.values()]]
    return known, projection


def _mixed(base: Artifact, stage: Stage, x: F32, targets: _Targets, how: Settings) -> tuple[Trees, F32]:
    """A stage's trees mixed into outputs for these arms, and calibration lines derived from the base's."""
    old, new, thinks = len(base.heads), len(targets.arms), [arm.think for arm in targets.arms]
    scores = stage.trees.score_all(x).astype(np.float64)
    # A calibration in probability has no equal on logits: the mixture begins at the trees' own.
    known = np.tile([1.0, 0.0, 0.0, 0.0], (old, 1)) if stage.by_probability else stage.calibration.astype(np.float64)
    slope, level, more_slope, more_level = known.T
    groups, _ = matching.match_heads(base.heads, targets.arms)
    nearest = np.zeros((old, new))
    for j, group in enumerate(groups):
        nearest[group, j] = 1 / len(group)
    weights, offset = np.zeros((3 * old, 3 * new)), np.zeros(3 * new)
    for part, target in enumerate((targets.correct, targets.tokens[:, :new], targets.tokens[:, new:])):
        one, two = slice(part * old, (part + 1) * old), slice(part * new, (part + 1) * new)
        # Calibrated logits are mixed, so the base's calibration becomes part of the mixture.
        by, plus = (slope, level) if part == 0 else (np.ones(old), np.zeros(old))
        outputs = scores[:, one] * by + plus
        found = adapt.mixture(outputs, target, nearest, thinks, how.shrinkage, part == 0, targets.weight)
        weights[one, two], offset[two] = by[:, None] * found.weights, found.offset + plus @ found.weights
    novel = np.stack([more_slope / slope, more_level - more_slope * level / slope])
    lines = np.column_stack([np.ones(new), np.zeros(new), (novel @ nearest).T])
    return stage.trees.mixed(weights, offset), lines.astype(np.float32)


def _after_probe(
    base: Artifact, arm: Arm, x: F32, probe: Matrix, targets: _Targets, how: Settings
) -> tuple[Trees, F32]:
    """Trees that use the probe of `arm`, and their calibration lines; based on the base's text stage if it has no such
    probe.
    """
    old = inputs_of(base.projection, base.need)
    groups, _ = matching.match_heads(base.heads, [arm])
    learned = [i for i in groups[0] if i in base.probed]
    both = np.hstack([x, probe.astype(np.float32)])
    if learned:
        # The probe's features come last, after the additional directions.
        stage = base.probed[learned[0]].stage
        further = np.where(stage.trees.feature >= old, x.shape[1] - old, 0)
        moved = replace(stage, trees=replace(stage.trees, feature=stage.trees.feature + further))
        mixed, lines = _mixed(base, moved, both, targets, how)
    else:
        mixed, lines = _mixed(base, base.text_stage, x[:, :old], targets, how)
    start = mixed.score_all(both).astype(np.float64)
    mixed = mixed.beside(_probe_effects(x.shape[1], probe, start, targets, how))
    start = mixed.score_all(both).astype(np.float64)
    return mixed.beside(grow(both, targets.correct, targets.tokens, how.train.boosting, start)), lines


def _probe_effects(first: int, probe: Matrix, start: Matrix, targets: _Targets, how: Settings) -> Trees:
    """Trees with the effect of a probe's features on `start`, one staircase per feature; features start at `first`."""
    columns = np.hstack([targets.correct, targets.tokens])
    features = range(first, first + len(PROBE_NAMES))
    trees, steps = adapt.staircases(features, probe, how.train.boosting.leaves, columns.shape[1])
    centre, spread = probe.mean(axis=0), probe.std(axis=0) + 1e-6
    x = np.column_stack([np.ones(len(probe)), (adapt.leaf_means(probe, trees.threshold, steps) - centre) / spread])
    precision = np.array([how.shrinkage.offset, *np.full(probe.shape[1], how.shrinkage.probe)])
    values = np.zeros((probe.shape[1], steps.shape[1], columns.shape[1]))
    base = np.zeros(columns.shape[1])
    for j in range(columns.shape[1]):
        logistic = j < targets.correct.shape[1]
        found = likeliest(x, columns[:, j], np.zeros(x.shape[1]), precision, logistic, targets.weight, start[:, j])
        base[j] = found[0]
        values[:, :, j] = found[1:, None] * (steps - centre[:, None]) / spread[:, None]
    return replace(trees, values=values.astype(np.float16).astype(np.float32), base=base.astype(np.float32))

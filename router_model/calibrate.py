"""Adapts a router to deployments of one's own, from a few dozen prompts upwards.

The adapted router mixes the forecasts of the one it starts from (`router_model.adapt`), adds terms and trees of the
operator's own traffic as far as there are outcomes for them, and is cross-validated, calibrated, saved, judged and
served like any other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_model import adapt, card, directions, matching, outcomes, train
from router_model import artifact as artifacts
from router_model.adapt import Shrinkage
from router_model.artifact import Artifact, inputs_of
from router_model.boosting import Boosting, grow
from router_model.calibration import likeliest
from router_model.features import Features
from router_model.outcomes import Arm, OutcomeError, Outcomes
from router_model.probe import PROBE_NAMES
from router_model.train import Fit, Fitter, rows_of
from router_model.trees import F32, Trees

Matrix = NDArray[np.float64]
# Fewer prompts than this cannot even be cross-validated.
LEAST_PROMPTS = 20
_SETTINGS = train.Settings(
    boosting=Boosting(rounds=60), directions=8, least_uses=3, least_prompts=LEAST_PROMPTS, firmness=5.0
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to adapt: what `train` does with it, and how firmly mixtures keep to their beginning."""

    train: train.Settings = _SETTINGS
    shrinkage: Shrinkage = field(default_factory=Shrinkage)


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
    base = artifacts.load(router)
    table = usable(outcomes.read(data), models, say)
    overlap = int(np.isin(fingerprints(table), base.seen).sum())
    if overlap:
        say(f"{overlap} of {len(table)} prompts were in the training data of {base.version}: figures flatter there")
    artifact = calibrate(base, table, out.name, settings, say)
    notes = (
        f"\nAdapted from `{base.version}`: its forecasts, mixed, and trees beside them for what no mixture can say.\n"
    )
    artifacts.save(artifact, out, card.text(artifact, [Path(p).name for p in data], notes))
    say(card.summary(artifact))
    say(f"Wrote {out} ({artifact.version}, from {base.version}) in {time.perf_counter() - started:.0f} s")
    return artifact


def usable(table: Outcomes, models: Sequence[str], say: Callable[[str], None]) -> Outcomes:
    """The rows and arms to adapt to, of these models or all. Raises OutcomeError."""
    if models:
        unknown = [model for model in models if model not in {arm.model for arm in table.arms}]
        if unknown:
            there = ", ".join(sorted({arm.model for arm in table.arms})[:12])
            raise OutcomeError(f"no outcomes of {', '.join(unknown)} in the data; there are: {there}")
        table = table.columns([arm for arm in table.arms if arm.model in models])
    if len(table) < LEAST_PROMPTS:
        raise OutcomeError(f"{len(table)} prompts are too few to calibrate on: it takes {LEAST_PROMPTS}, better 100")
    return train.trainable(table, say, LEAST_PROMPTS)


def fingerprints(table: Outcomes) -> NDArray[np.uint64]:
    """The hashes by which artifacts remember prompts."""
    return np.array([artifacts.fingerprint(train.stem_of(prompt)) for prompt in table.prompts], np.uint64)


def calibrate(
    base: Artifact, table: Outcomes, name: str, settings: Settings | None = None, say: Callable[[str], None] = print
) -> Artifact:
    """The router of these outcomes that starts from `base`. Raises OutcomeError."""
    how = settings or Settings()
    artifact = train.train(table, name, how.train, say, fitter(base, how))
    return replace(
        artifact,
        seen=np.union1d(artifact.seen, base.seen),
        about={**artifact.about, "adapted_from": base.version},
    )


def fitter(base: Artifact, how: Settings) -> Fitter:
    """What `train.train` calls to learn from some rows: mixtures of the base, and trees beside them."""

    def fit(
        features: Sequence[Features],
        tampered: Sequence[Sequence[Features]],
        table: Outcomes,
        tokens: Matrix,
        rows: NDArray[np.intp],
        settings: train.Settings,
    ) -> Fit:
        chosen = [features[i] for i in rows.tolist()]
        known, projection = _extended(base, chosen, settings)
        x, _ = rows_of([*chosen, *(copy[i] for copy in tampered for i in rows.tolist())], known, projection)
        copies = 1 + len(tampered)
        rows = np.tile(rows, copies)
        weight = np.full(len(rows), 1 / copies)
        unread = _adapted(base, base.unread.trees, x, table, table.correct[rows], tokens[rows], weight, how)
        probed = {}
        for arm in train.probed_arms(table, settings):
            probe = table.probes[arm][rows]
            has = np.flatnonzero(~np.isnan(probe[:, 0]))
            probed[table.arms.index(arm)] = _after_probe(
                base, arm, x[has], probe[has], table, table.correct[rows[has]], tokens[rows[has]], weight[has], how
            )
        # What is strange, the base knows from more kinds of work than these prompts are of.
        return Fit(known, projection, unread, probed, base.strangeness)

    return fit


def _extended(base: Artifact, chosen: Sequence[Features], settings: train.Settings) -> tuple[dict[bytes, int], F32]:
    """The base's terms and those of these prompts; the base's directions, and more of their own."""
    own, found, _ = directions.fit(
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


def _adapted(
    base: Artifact,
    trees: Trees,
    x: F32,
    table: Outcomes,
    correct: Matrix,
    tokens: Matrix,
    weight: Matrix,
    how: Settings,
) -> Trees:
    mixed = _mixed(base, trees, x[:, : inputs_of(base.projection)], table, correct, tokens, weight, how)
    start = mixed.score_all(x).astype(np.float64)
    return mixed.beside(grow(x, correct, tokens, _boosting(how, len(x)), start))


def _boosting(how: Settings, rows: int) -> Boosting:
    return how.train.boosting


def _mixed(
    base: Artifact,
    trees: Trees,
    x: F32,
    table: Outcomes,
    correct: Matrix,
    tokens: Matrix,
    weight: Matrix,
    how: Settings,
) -> Trees:
    """The base's trees with the outputs of these arms."""
    old, new = len(base.heads), len(table.arms)
    said = trees.score_all(x).astype(np.float64)
    groups, _ = matching.match_heads(base.heads, table.arms)
    nearest = np.zeros((old, new))
    for j, group in enumerate(groups):
        nearest[group, j] = 1 / len(group)
    kinds = [arm.think for arm in table.arms]
    weights, offset = np.zeros((3 * old, 3 * new)), np.zeros(3 * new)
    targets = (correct, tokens[:, :new], tokens[:, new:])
    for part, target in enumerate(targets):
        one, two = slice(part * old, (part + 1) * old), slice(part * new, (part + 1) * new)
        found = adapt.mixture(said[:, one], target, nearest, kinds, how.shrinkage, part == 0, weight)
        weights[one, two], offset[two] = found.weights, found.offset
    return trees.mixed(weights, offset)


def _after_probe(
    base: Artifact,
    arm: Arm,
    x: F32,
    probe: Matrix,
    table: Outcomes,
    correct: Matrix,
    tokens: Matrix,
    weight: Matrix,
    how: Settings,
) -> Trees:
    """Trees that have seen the probe of `arm`: the base's own, if it knows such probes, else with stairs."""
    old = inputs_of(base.projection)
    groups, _ = matching.match_heads(base.heads, [arm])
    learned = [i for i in groups[0] if i in base.probed]
    if learned:
        # The probe's numbers come last, after directions that the base has not.
        source = base.probed[learned[0]].stage.trees
        further = np.where(source.feature >= old, x.shape[1] - old, 0)
        moved = replace(source, feature=source.feature + further)
        x_all = np.hstack([x, probe.astype(np.float32)])
        mixed = _mixed(base, moved, x_all, table, correct, tokens, weight, how)
    else:
        mixed = _mixed(base, base.unread.trees, x[:, :old], table, correct, tokens, weight, how)
        x_all = np.hstack([x, probe.astype(np.float32)])
    start = mixed.score_all(x_all).astype(np.float64)
    stairs = _stairs(x.shape[1], probe, start, correct, tokens, weight, how)
    both = mixed.beside(stairs)
    start = both.score_all(x_all).astype(np.float64)
    return both.beside(grow(x_all, correct, tokens, _boosting(how, len(x)), start))


def _stairs(
    first: int, probe: Matrix, start: Matrix, correct: Matrix, tokens: Matrix, weight: Matrix, how: Settings
) -> Trees:
    """What the numbers of a probe add to `start`, one staircase for each; features from `first` on."""
    targets = np.hstack([correct, tokens])
    features = range(first, first + len(PROBE_NAMES))
    trees, steps = adapt.staircases(features, probe, how.train.boosting.leaves, targets.shape[1])
    centre, spread = probe.mean(axis=0), probe.std(axis=0) + 1e-6
    x = np.column_stack([np.ones(len(probe)), (adapt.climbed(probe, trees.threshold, steps) - centre) / spread])
    precision = np.array([how.shrinkage.offset, *np.full(probe.shape[1], how.shrinkage.probe)])
    values = np.zeros((probe.shape[1], steps.shape[1], targets.shape[1]))
    base = np.zeros(targets.shape[1])
    for j in range(targets.shape[1]):
        logistic = j < correct.shape[1]
        found = likeliest(x, targets[:, j], np.zeros(x.shape[1]), precision, logistic, weight, start[:, j])
        base[j] = found[0]
        values[:, :, j] = found[1:, None] * (steps - centre[:, None]) / spread[:, None]
    return replace(trees, values=values.astype(np.float16).astype(np.float32), base=base.astype(np.float32))

"""Trains the prior: a router for deployments without outcomes of their own, from kinds of work.

    python -m router_model.adapting --data public_outcomes.parquet --kinds kinds/ --out router_model/artifacts/prior

Graded prompts and published results by kind give the need, which orders requests; public outcomes by prompt and stated
assumptions (`Assumptions`) give it a scale. Of the texts, the artifact keeps hashed grams that many prompts share, and
hashes that recognise training prompts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.adapting import gain_curves, graded, left_out, need_fitting, public_outcomes
from router_model.adapting.assumptions import Assumptions
from router_model.adapting.gain_curves import Examples
from router_model.adapting.graded import Graded
from router_model.adapting.need_fitting import Material
from router_model.data.outcomes import GENERIC, Outcomes, stem_of
from router_model.decision.holdout import HeldOut, HeldOutForecasts
from router_model.model import artifact_writer
from router_model.model.artifact import Artifact, Head, Stage, fingerprint
from router_model.model.need import Need
from router_model.model.predict import Predictor
from router_model.model.trees import F32
from router_model.rendering import render
from router_model.training import calibration, card, summary
from router_model.training.fitting import rows_of
from router_model.training.settings import Settings

Matrix = NDArray[np.float64]
BUDGETS = (0, 1024, 4096, 16384)
HEADS = (Head(GENERIC, False), *(Head(GENERIC, True, budget) for budget in BUDGETS), Head(GENERIC, True))
# Nothing of the terms of a request is read.
_NO_TERMS: F32 = np.zeros((0, 0), np.float32)


def build(
    data: Path, kinds: Path, name: str, assumed: Assumptions | None = None, say: Callable[[str], None] = print
) -> tuple[Artifact, str]:
    """Train the prior; also its card. Raises OutcomeError."""
    assumed = assumed or Assumptions()
    own, published = graded.written(assumed), graded.of_kinds(kinds, assumed)
    table, drawn = public_outcomes.table_of(data)
    outcomes = public_outcomes.generic(table)
    say(f"{len(own)} written prompts, {len(published)} of published kinds, outcomes of {len(outcomes)} public ones")
    prompts = [*own, *published]
    material = Material.of(prompts)
    needs = left_out.by_fold(prompts, material, assumed)
    need = need_fitting.fit(material, assumed)
    tried = left_out.report(prompts, material, needs, assumed, say)
    draft = _draft(need, needs, own, outcomes, assumed)
    about = _about(draft, outcomes, own, tried, drawn, assumed)
    seen = [stem_of(one.messages) for one in prompts] + [prompt.stem for prompt in outcomes.prompts]
    whole = replace(
        draft,
        held_out=_traffic(draft, needs, own, assumed),
        seen=np.unique(np.array([fingerprint(stem) for stem in seen], np.uint64)),
        about=about,
    )
    whole = replace(whole, version=artifact_writer.version_of(name, artifact_writer.numbers(whole), whole.heads))
    return whole, _card(whole, published, drawn, assumed)


def _draft(need: Need, needs: Matrix, own: Sequence[Graded], outcomes: Outcomes, assumed: Assumptions) -> Artifact:
    features = [need_fitting.features_of(one.messages) for one in own]
    _, novelty = rows_of(features, {}, _NO_TERMS, need)
    curves = gain_curves.fit(_assumed(needs, own, assumed).beside(_measured(need, outcomes, assumed)), assumed)
    # The need comes right after the structural counts.
    trees = gain_curves.trees(curves, HEADS, len(features[0].dense), assumed)
    lines = np.tile(np.array([1, 0, 0, 0], np.float32), (len(HEADS), 1))
    stage = Stage(trees, lines, np.ones((len(HEADS), 2), np.float32), gain_curves.spreads(curves, HEADS))
    return Artifact(
        version="",
        heads=HEADS,
        text_stage=stage,
        probed={},
        vocabulary={},
        projection=_NO_TERMS,
        ood_calibration=calibration.ood_threshold(novelty, assumed.ood_share),
        held_out=HeldOut.none(len(HEADS)),
        seen=np.zeros(0, np.uint64),
        about={},
        ordered=frozenset(),
        need=need,
    )


def _grades(own: Sequence[Graded]) -> NDArray[np.int64]:
    return np.array([one.grade for one in own])


def _assumed(needs: Matrix, own: Sequence[Graded], assumed: Assumptions) -> Examples:
    """What is assumed of the written prompts, by their grades; needs are out of fold."""
    grade = _grades(own)
    right, gain, thinking, answer = (
        np.array(values)[grade]
        for values in (assumed.right, assumed.gain, np.log1p(assumed.thinking), np.log1p(assumed.answer))
    )
    return Examples(needs[: len(own)], right, gain, thinking, answer, np.ones(len(own)))


def _measured(need: Need, outcomes: Outcomes, assumed: Assumptions) -> Examples:
    """Public outcomes: each data set weighs the same, since its prompts resemble each other."""
    scores = _scores(need, outcomes)
    size = Counter(prompt.dataset for prompt in outcomes.prompts)
    weight = np.array([assumed.dataset_weight / size[prompt.dataset] for prompt in outcomes.prompts])
    none, think = outcomes.correct.T
    thought = np.where(np.isnan(outcomes.thinking[:, 1]), outcomes.completion[:, 1], outcomes.thinking[:, 1])
    unknown = np.full(len(outcomes), np.nan)
    return Examples(scores, none, think - none, np.log1p(thought), unknown, weight)


def _scores(need: Need, outcomes: Outcomes) -> Matrix:
    features = [need_fitting.features_of(prompt.messages) for prompt in outcomes.prompts]
    return np.array([need(one.ask, one.dense).score for one in features])


def _forecasts(draft: Artifact, needs: Matrix) -> HeldOutForecasts:
    predictor = Predictor(draft)
    row = np.zeros(int(draft.text_stage.trees.feature.max()) + 1, np.float32)
    p, tokens = [], []
    for score in needs.tolist():
        row[-1] = score
        found = predictor.finish(draft.text_stage.trees.score(row).tolist(), 0.0)
        p.append(found.p_correct)
        tokens.append(np.add(found.thinking_tokens, found.answer_tokens))
    return HeldOutForecasts(np.array(p), np.array(tokens))


def _traffic(draft: Artifact, needs: Matrix, own: Sequence[Graded], assumed: Assumptions) -> HeldOut:
    """Written prompts in the shares of everyday traffic, with what is assumed of them as outcomes: the dial's scale."""
    grade, rng = _grades(own), np.random.default_rng(assumed.seed)
    wanted = [round(share * assumed.traffic_prompts) for share in assumed.traffic]
    drawn = [rng.permutation(np.flatnonzero(grade == g))[:n] for g, n in enumerate(wanted)]
    rows = np.sort(np.concatenate(drawn))
    of_grade = [gain_curves.assumed_of(g, HEADS, assumed) for g in range(4)]
    correct, tokens = (np.array([of_grade[g][part] for g in grade[rows].tolist()]) for part in (0, 1))
    return HeldOut(_forecasts(draft, needs[rows]), {}, np.zeros(len(rows)), correct, tokens).rounded()


def _about(
    draft: Artifact,
    outcomes: Outcomes,
    own: Sequence[Graded],
    tried: Mapping[str, Any],
    drawn: Mapping[str, Any],
    assumed: Assumptions,
) -> dict[str, Any]:
    """The figures are on public outcomes, on whose prompts the need was not fitted."""
    assert draft.need is not None
    forecast = _forecasts(draft, _scores(draft.need, outcomes))
    columns = [0, len(HEADS) - 1]
    shown = summary.about(outcomes, forecast.restricted(columns), assumed.folds, Settings())
    return {
        **shown,
        "trees": draft.text_stage.trees.values.shape[0],
        "graded": Counter(f"grade {one.grade}" for one in own),
        "assumed": asdict(assumed),
        "left_out": tried,
        "drawn": drawn,
    }


def _card(artifact: Artifact, published: Sequence[Graded], drawn: Mapping[str, Any], assumed: Assumptions) -> str:
    sources = Counter(one.source for one in published)
    return render(
        "router_model.adapting",
        "prior.md.jinja",
        version=artifact.version,
        about=artifact.about,
        assumed=asdict(assumed),
        sources=[(*source.split("|"), n) for source, n in sorted(sources.items())],
        drawn=drawn,
        most=public_outcomes.MOST_OF_A_SOURCE,
        summary=card.summary(artifact),
    )

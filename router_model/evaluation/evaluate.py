"""Judges a router on an outcome table: its frontier and its figures beside those of every mandatory baseline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data import outcome_reader, output_files
from router_model.data.outcomes import Arm, OutcomeError, Outcomes
from router_model.decision.probe_policy import ProbeViews
from router_model.evaluation import (
    adversarial,
    by_dataset,
    crossval,
    frontier,
    matching,
    metrics,
    page,
    pair_figures,
    probing,
    promises,
    report,
    token_ranges,
)
from router_model.evaluation.crossval import Fold, Unit
from router_model.evaluation.frontier import Forecasts
from router_model.model import predict
from router_model.model.artifact import fingerprint
from router_model.model.predict import OOD_UNTRUSTED, Predictor
from router_model.training import recipes
from router_model.training.settings import Choose

F64 = NDArray[np.float64]
# The heads of a router that stand for each effort of a table.
Heads = Sequence[Sequence[int]]
TIMED_PROMPTS = 500
GAMED_PROMPTS = 200
GAMED_AT = 0.65
# For many routers in a row: without augmented copies of the prompts, which nobody tampers with here.
QUICK = {"attacked": 0, "folds": 3}


def run(
    router: str | Path | None,
    data: Sequence[Path],
    *,
    no_think: str | None = None,
    think: str | None = None,
    leave_out: Unit | None = None,
    recipe: recipes.Recipe = "auto",
    datasets: Sequence[str] = (),
    settings: Choose | None = None,
    json_file: Path | None = None,
    html_file: Path | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Evaluate and print; also write JSON, or HTML with its PNG beside it. Raises OutcomeError or ArtifactError.

    Without a router the table is judged by routers trained on the rest of it, `leave_out` by `leave_out`. `datasets`:
    patterns of names, `medagents/*`; all if there are none. `no_think` and `think` may name several arms with commas
    between, the first of which that ran a prompt stands for it: names of one model that changed over time.
    """
    if (router is None) == (leave_out is None):
        raise OutcomeError("give either a router to judge, or what to leave out to judge one trained on these data")
    for file in filter(None, (json_file, html_file)):
        output_files.can_put(file)
    table = outcome_reader.read(data)
    if datasets:
        table = table.of_datasets(datasets)
    table, weak, strong = _pair(table, no_think, think)
    if router is not None:
        result = evaluate(predict.load(router), table, weak, strong)
    else:
        assert leave_out is not None
        expects: recipes.Expects = "phrasings" if leave_out == "prompt" else "tasks"
        settings = settings or recipes.chosen(recipe, expects, QUICK)
        result = cross_validate(table, weak, strong, leave_out, settings, say)
    say(report.text(result))
    if json_file:
        output_files.put(json_file, json.dumps(_plain(result), indent=1) + "\n")
        say(f"Wrote {json_file.absolute()}")
    if html_file:
        page.write(result, html_file)
        say(f"Wrote {html_file.absolute()}")
    return result


def _pair(table: Outcomes, no_think: str | None, think: str | None) -> tuple[Outcomes, Arm, Arm]:
    """The pair's arms, those of several names merged."""
    found = []
    for names in (no_think, think):
        first, *more = names.split(",") if names else (None,)
        if first and more:
            table = table.merged([first, *more])
        found.append(first)
    return table, *table.pair(*found)


def evaluate(predictor: Predictor, table: Outcomes, weak: Arm, strong: Arm) -> dict[str, Any]:
    """All figures of a router for choosing between two arms, and over the thinking budgets that the table has."""
    table, efforts, notes = _of_pair(table, weak, strong)
    heads, said = matching.match_heads(predictor.heads, efforts)
    seen = _seen(predictor, table)
    if seen:
        said.append(f"{seen} of {len(table)} prompts were in the router's training data: its figures flatter there")
    about = {
        "router": predictor.version,
        "left_out": None,
        "seen_in_training": seen,
        "notes": [*notes, *said, *table.unlike([weak, strong])],
    }
    judged = [(Fold(predictor, np.arange(len(table))), heads)]
    return _figures(table, efforts, judged, about)


def cross_validate(
    table: Outcomes, weak: Arm, strong: Arm, leave_out: Unit, settings: Choose, say: Callable[[str], None]
) -> dict[str, Any]:
    """The same for routers trained on the rest of the table, each judged on what it did not learn from."""
    table, efforts, notes = _of_pair(table, weak, strong)
    folds = crossval.trained(table, efforts, leave_out, settings, say=say)
    judged = [(fold, matching.match_heads(fold.predictor.heads, efforts)[0]) for fold in folds]
    about = {
        "router": f"{len(folds)}-fold cross-validation by {leave_out}",
        "left_out": leave_out,
        "seen_in_training": 0,
        "notes": [*notes, *table.unlike([weak, strong])],
    }
    return _figures(table, efforts, judged, about)


def _of_pair(table: Outcomes, weak: Arm, strong: Arm) -> tuple[Outcomes, list[Arm], list[str]]:
    w, s = table.arms.index(weak), table.arms.index(strong)
    both = ~np.isnan(table.correct[:, w]) & ~np.isnan(table.correct[:, s])
    if not both.any():
        raise OutcomeError(f"no prompt was run with both {weak.name} and {strong.name}")
    table = table.rows(both)
    return table, *_efforts(table, weak, strong)


def _figures(
    table: Outcomes, efforts: Sequence[Arm], judged: Sequence[tuple[Fold, Heads]], about: dict[str, Any]
) -> dict[str, Any]:
    chosen = table.columns(efforts)
    forecasts = forecast_all(judged, table)
    weak, strong = efforts[0], efforts[-1]
    if forecasts.fell_back.any():
        about["notes"].append(
            f"{int(forecasts.fell_back.sum())} of {len(table)} prompts are of kinds of work new to the router, and "
            "text has not been shown to tell anything of such kinds: they take the default effort, at random here"
        )
    result: dict[str, Any] = {
        **about,
        "no_think": weak.name,
        "think": strong.name,
        "prompts": len(table),
        "strange": float((forecasts.ood_probability > OOD_UNTRUSTED).mean()),
        "fell_back": float(forecasts.fell_back.mean()),
        **pair_figures.figures(table, weak, strong, forecasts),
        **_calibration(chosen, forecasts),
        "decision_ms_p50": float(np.quantile(forecasts.decision_ms, 0.5)),
        "decision_ms_p99": float(np.quantile(forecasts.decision_ms, 0.99)),
    }
    result |= frontier.figures(chosen, forecasts, result)
    result["datasets"] = by_dataset.rows(chosen, forecasts)
    result["probe"] = probing.figures(_probe_views(judged, chosen), chosen)
    result["token_ranges"] = token_ranges.figures(judged, chosen)
    result["gaming"] = _gaming(judged, table) if about["left_out"] is None else None
    result["risk"] = promises.figures(chosen, forecasts)
    return result


def _efforts(table: Outcomes, weak: Arm, strong: Arm) -> tuple[list[Arm], list[str]]:
    """The efforts to choose from, weak first and strong last, and a note on budgets left out for lack of data."""
    budgets = [
        arm for arm in table.arms if arm.mode == "budget" and arm.model == strong.model and strong.mode == "think"
    ]
    full = [arm for arm in budgets if not np.isnan(table.correct[:, table.arms.index(arm)]).any()]
    notes = [
        f"{arm.name} left out of the frontier: not run on every prompt of the pair"
        for arm in budgets
        if arm not in full
    ]
    return [weak, *full, strong], notes


def _seen(predictor: Predictor, table: Outcomes) -> int:
    stems = np.array([fingerprint(prompt.stem) for prompt in table.prompts], np.uint64)
    return int(np.isin(stems, predictor.artifact.seen).sum())


def forecast_all(judged: Sequence[tuple[Fold, Heads]], table: Outcomes) -> Forecasts:
    """Forecasts for every prompt, one by one as the gateway asks for them; the first prompts are timed (CPU time).

    Where a prompt is strange and nothing can be asked first, the gateway takes its default effort whatever the text
    says: all such prompts have the same forecast here, and are told apart by chance alone.
    """
    n, arms = len(table), len(judged[0][1])
    p, tokens, prices, strange = (np.zeros((n, k)) for k in (arms, arms, len(frontier.DIALS), 1))
    times: list[float] = []
    fell_back = np.zeros(n, bool)
    for (predictor, rows), heads in judged:
        own = predictor.restricted({predictor.heads[i].model for group in heads for i in group})
        prices[rows] = [own.price_for_dial(x, "never") for x in frontier.DIALS]
        for i in rows.tolist():
            prompt = table.prompts[i]
            started = time.thread_time()
            reading = predictor.read(prompt.messages, prompt.tools)
            scores = predictor.scores(reading)
            if len(times) < TIMED_PROMPTS:
                times.append((time.thread_time() - started) * 1000)
            strange[i] = reading.ood_probability
            for j, group in enumerate(heads):
                p[i, j] = sum(scores.p_correct[k] for k in group) / len(group)
                tokens[i, j] = sum(scores.thinking_tokens[k] + scores.answer_tokens[k] for k in group) / len(group)
            fell_back[i] = reading.ood_probability > OOD_UNTRUSTED and heads[0][0] not in predictor.probes_known
    told_gain = p[:, -1] - p[:, 0]
    if fell_back.any():
        p[fell_back], tokens[fell_back] = p[fell_back].mean(axis=0), tokens[fell_back].mean(axis=0)
    return Forecasts(p, tokens, prices, strange[:, 0], fell_back, told_gain, np.array(times))


def _probe_views(judged: Sequence[tuple[Fold, Heads]], chosen: Outcomes) -> ProbeViews | None:
    """What every fold's router says before and after a probe, put together; None where one cannot tell."""
    parts = []
    for (predictor, rows), heads in judged:
        part = probing.views(predictor, chosen.rows(rows), [group[0] for group in heads])
        if part is None:
            return None
        parts.append(part)
    back = np.argsort(np.concatenate([fold.rows for fold, _ in judged]))
    return ProbeViews(*(np.concatenate([getattr(part, name) for part in parts])[back] for name in ProbeViews.__slots__))


def _gaming(judged: Sequence[tuple[Fold, Heads]], table: Outcomes) -> dict[str, Any]:
    """How often the published attacks move a decision at a dial of GAMED_AT; by text alone, before any probe."""
    (predictor, rows), heads = judged[0]
    rows = np.random.default_rng(0).permutation(rows)[:GAMED_PROMPTS]
    own = predictor.restricted({predictor.heads[i].model for group in heads for i in group})
    price = own.price_for_dial(GAMED_AT, "never")

    def decide(messages: adversarial.Messages, tools: Sequence[Mapping[str, Any]] | None) -> int:
        scores = predictor.forecast(messages, tools)
        values = [
            sum(scores.p_correct[k] - price * (scores.thinking_tokens[k] + scores.answer_tokens[k]) for k in group)
            / len(group)
            for group in heads
        ]
        return int(np.argmax(values))

    requests = [(table.prompts[i].messages, table.prompts[i].tools) for i in rows.tolist()]
    rates = adversarial.rates(decide, requests)
    begun = adversarial.rates(lambda messages, tools: int(decide(messages, tools) > 0), requests)
    return {
        "prompts": len(rows),
        "dial": GAMED_AT,
        "upgrades": dict(rates.upgrades),
        "downgrades": dict(rates.downgrades),
        "none_to_think_rate": begun.mean([*begun.upgrades]),
        "upgrade_rate": rates.mean([*rates.upgrades]),
        "downgrade_rate": rates.mean([*rates.downgrades], down=True),
        "inflating_upgrade_rate": rates.mean(adversarial.INFLATING),
        "worst_upgrade": list(rates.worst()),
        "worst_downgrade": list(rates.worst(down=True)),
    }


def _calibration(chosen: Outcomes, forecasts: Forecasts) -> dict[str, Any]:
    """ECE and Brier over all efforts together; per effort also AUC. Curves for the figure."""
    said, real = forecasts.p.ravel(), chosen.correct.ravel()
    times = metrics.resamples(len(chosen), 300)
    squared = np.square(forecasts.p - chosen.correct).mean(axis=1)
    per_effort = {
        arm.name: {
            "ece": metrics.ece(forecasts.p[:, j], chosen.correct[:, j]),
            "brier": metrics.brier(forecasts.p[:, j], chosen.correct[:, j]),
            "auc": metrics.auc(forecasts.p[:, j], chosen.correct[:, j] >= 0.5),
            "forecast_accuracy": float(forecasts.p[:, j].mean()),
        }
        for j, arm in enumerate(chosen.arms)
    }
    return {
        "ece": metrics.ece(said, real),
        "ece_ci": metrics.interval(metrics.ece_draws(forecasts.p, chosen.correct, times)),
        "brier": metrics.brier(said, real),
        "brier_ci": metrics.interval(times @ squared / len(chosen)),
        "auc": per_effort[chosen.arms[0].name]["auc"],
        "efforts": per_effort,
        "reliability": metrics.reliability(said, real),
    }


def _plain(value: Any) -> Any:
    """The same with NaN and infinities as null: JSON has none."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value

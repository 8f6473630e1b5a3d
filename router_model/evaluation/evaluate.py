"""Evaluates a router on an outcome table: its frontier, and its figures compared with every baseline."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from router_model.data import outcome_reader, output_files
from router_model.data.outcomes import Arm, OutcomeError, Outcomes
from router_model.evaluation import (
    adversarial_figures,
    by_dataset,
    calibration_figures,
    crossval,
    forecasting,
    frontier,
    levels,
    matching,
    page,
    pair_figures,
    probing,
    promises,
    report,
    token_ranges,
    unseen,
    verdict,
)
from router_model.evaluation.crossval import Fold, Unit
from router_model.evaluation.forecasting import Heads
from router_model.model import predict
from router_model.model.predict import OOD_UNTRUSTED, Predictor
from router_model.training import recipes, selection
from router_model.training.settings import Choose

# Budgets that lack more of the pair's prompts than this are left out, instead of those prompts.
_MOST_MISSING = 0.05
# Settings for training many routers in a row: no augmented copies, as no prompt here is adversarial.
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
    include_seen: bool = False,
    json_file: Path | None = None,
    html_file: Path | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Evaluate and print; also write JSON, or HTML with its PNG beside it. Raises OutcomeError or ArtifactError.

    Without a router, the routers under evaluation are trained on the rest of the table, leaving out one `leave_out` at
    a time. `datasets`: name patterns such as `medagents/*`; all if empty. `no_think` and `think` may list several arms,
    separated by commas (names of one model that changed over time): each prompt uses the first arm that ran it. A
    router is judged on the prompts that it was not trained on; `include_seen`: on all of them, without a verdict.
    """
    if (router is None) == (leave_out is None):
        raise OutcomeError("give either a router to evaluate, or what to leave out of training on these data")
    for file in filter(None, (json_file, html_file)):
        output_files.can_put(file)
    table = outcome_reader.read(data)
    if datasets:
        table = table.of_datasets(datasets)
    table, weak, strong = _pair(table, no_think, think)
    if router is not None:
        result = evaluate(predict.load(router), table, weak, strong, include_seen)
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
    """The table and the pair's arms, with arms of several names merged."""
    found = []
    for names in (no_think, think):
        first, *more = names.split(",") if names else (None,)
        if first and more:
            table = table.merged([first, *more])
        found.append(first)
    return table, *table.pair(*found)


def evaluate(
    predictor: Predictor, table: Outcomes, weak: Arm, strong: Arm, include_seen: bool = False
) -> dict[str, Any]:
    """All figures of a router that chooses between two arms and the thinking budgets between them."""
    table, seen, set_aside = unseen.judged(predictor, _of_pair(table, weak, strong), include_seen)
    table, efforts, notes = _complete(table, *_efforts(table, weak, strong))
    heads, warnings = matching.match_heads(predictor.heads, efforts)
    about = {
        "router": predictor.version,
        "left_out": None,
        "seen_in_training": seen,
        "notes": [*set_aside, *notes, *warnings, *table.unlike([weak, strong])],
    }
    evaluated = [(Fold(predictor, np.arange(len(table))), heads)]
    return _figures(table, efforts, evaluated, about)


def cross_validate(
    table: Outcomes, weak: Arm, strong: Arm, leave_out: Unit, settings: Choose, say: Callable[[str], None]
) -> dict[str, Any]:
    """The same for routers trained on the rest of the table, each evaluated on the prompts left out."""
    if strong.mode.startswith("effort-"):
        table, weak, strong = selection.ladder(table, weak, strong)
    table = _of_pair(table, weak, strong)
    table, efforts, notes = _complete(table, *_efforts(table, weak, strong))
    folds = crossval.trained(table, efforts, leave_out, settings, say=say)
    evaluated = [(fold, matching.match_heads(fold.predictor.heads, efforts)[0]) for fold in folds]
    about = {
        "router": f"{len(folds)}-fold cross-validation by {leave_out}",
        "left_out": leave_out,
        "seen_in_training": 0,
        "notes": [*notes, *table.unlike([weak, strong])],
    }
    return _figures(table, efforts, evaluated, about)


def _of_pair(table: Outcomes, weak: Arm, strong: Arm) -> Outcomes:
    """The prompts that were run with both arms. OutcomeError: none."""
    w, s = table.arms.index(weak), table.arms.index(strong)
    both = ~np.isnan(table.correct[:, w]) & ~np.isnan(table.correct[:, s])
    if not both.any():
        raise OutcomeError(f"no prompt was run with both {weak.name} and {strong.name}")
    return table.rows(both)


def _figures(
    table: Outcomes, efforts: Sequence[Arm], evaluated: Sequence[tuple[Fold, Heads]], about: dict[str, Any]
) -> dict[str, Any]:
    chosen = table.columns(efforts)
    forecasts = forecasting.forecast_all(evaluated, table)
    weak, strong = efforts[0], efforts[-1]
    if forecasts.fell_back.any():
        about["notes"].append(
            f"{int(forecasts.fell_back.sum())} of {len(table)} prompts are of tasks new to the router, for which its "
            "text forecasts have not been shown to be valid: they get the default effort, here at random"
        )
    result: dict[str, Any] = {
        **about,
        "no_think": weak.name,
        "think": strong.name,
        "prompts": len(table),
        "strange": float((forecasts.ood_probability > OOD_UNTRUSTED).mean()),
        "fell_back": float(forecasts.fell_back.mean()),
        **pair_figures.figures(table, weak, strong, forecasts),
        **calibration_figures.figures(chosen, forecasts),
        "decision_ms_p50": float(np.quantile(forecasts.decision_ms, 0.5)),
        "decision_ms_p99": float(np.quantile(forecasts.decision_ms, 0.99)),
    }
    result |= frontier.figures(chosen, forecasts, result)
    result["datasets"] = by_dataset.rows(chosen, forecasts)
    result["probe"] = probing.figures(forecasting.probe_views(evaluated, chosen), chosen)
    result["token_ranges"] = token_ranges.figures(evaluated, chosen)
    result["gaming"] = adversarial_figures.figures(evaluated, table) if about["left_out"] is None else None
    result["risk"] = promises.figures(chosen, forecasts)
    left_out = [fold.rows for fold, _ in evaluated] if about["left_out"] is not None else None
    result["levels"] = levels.figures(chosen, forecasts, left_out) if left_out else None
    result["verdict"] = verdict.of(result)
    return result


def _efforts(table: Outcomes, weak: Arm, strong: Arm) -> tuple[list[Arm], list[str]]:
    """The efforts to choose from, weak first and strong last, and a note on budgets left out for lack of data."""
    most = float("inf") if strong.mode == "think" else float(strong.budget or 0)
    budgets = [
        arm for arm in table.arms if arm.mode == "budget" and arm.model == strong.model and (arm.budget or 0) < most
    ]
    missing = {arm: float(np.isnan(table.correct[:, table.arms.index(arm)]).mean()) for arm in budgets}
    full = [arm for arm in budgets if arm != weak and missing[arm] <= _MOST_MISSING]
    notes = [
        f"{arm.name} left out of the frontier: not run on every prompt of the pair"
        for arm in budgets
        if arm not in full and arm != weak
    ]
    return [weak, *full, strong], notes


def _complete(table: Outcomes, efforts: list[Arm], notes: list[str]) -> tuple[Outcomes, list[Arm], list[str]]:
    """Only the prompts that were run at all of these efforts."""
    ran = np.asarray(~np.isnan(table.columns(efforts).correct).any(axis=1))
    if ran.all():
        return table, efforts, notes
    note = f"{int((~ran).sum())} prompts left out: not run at every effort"
    return table.rows(ran), efforts, [*notes, note]


def _plain(value: Any) -> Any:
    """The value with NaN and infinities replaced by None, since JSON has none."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value

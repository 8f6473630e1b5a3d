"""Judges a router on an outcome table: its frontier and its figures beside those of every mandatory baseline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model import artifact as artifacts
from router_model import baselines, frontier, matching, metrics, outcomes, predict, probing, report
from router_model.frontier import Forecasts
from router_model.outcomes import Arm, OutcomeError, Outcomes
from router_model.predict import Predictor
from router_model.train import stem_of

F64 = NDArray[np.float64]
TIMED_PROMPTS = 500


def run(
    router: str | Path,
    data: Sequence[Path],
    *,
    no_think: str | None = None,
    think: str | None = None,
    json_file: Path | None = None,
    html_file: Path | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Evaluate and print; also write JSON, or HTML with its PNG beside it. Raises OutcomeError or ArtifactError."""
    predictor = predict.load(router)
    table = outcomes.read(data)
    result = evaluate(predictor, table, *table.pair(no_think, think))
    say(report.text(result))
    if json_file:
        Path(json_file).write_text(json.dumps(_plain(result), indent=1) + "\n", encoding="utf-8")
        say(f"Wrote {json_file}")
    if html_file:
        report.write_html(result, Path(html_file))
        say(f"Wrote {html_file}")
    return result


def evaluate(predictor: Predictor, table: Outcomes, weak: Arm, strong: Arm) -> dict[str, Any]:
    """All figures for routing between two arms, and over the thinking budgets that the table has."""
    w, s = table.arms.index(weak), table.arms.index(strong)
    both = ~np.isnan(table.correct[:, w]) & ~np.isnan(table.correct[:, s])
    if not both.any():
        raise OutcomeError(f"no prompt was run with both {weak.name} and {strong.name}")
    table = table.rows(both)
    efforts, notes = _efforts(table, weak, strong)
    heads, said = matching.match_heads(predictor.heads, efforts)
    notes += [*said, *table.unlike([weak, strong])]
    seen = _seen(predictor, table)
    if seen:
        notes.append(f"{seen} of {len(table)} prompts were in the router's training data: its figures flatter there")
    forecasts = forecast_all(predictor, table, heads)
    chosen = table.columns(efforts)
    result: dict[str, Any] = {
        "router": predictor.version,
        "no_think": weak.name,
        "think": strong.name,
        "prompts": len(table),
        "seen_in_training": seen,
        "notes": notes,
        **_pair_figures(table, weak, strong, forecasts),
        **_calibration(chosen, forecasts),
        "decision_ms_p50": float(np.quantile(forecasts.decision_ms, 0.5)),
        "decision_ms_p99": float(np.quantile(forecasts.decision_ms, 0.99)),
    }
    result |= frontier.figures(chosen, forecasts, predictor, heads, result)
    result["probe"] = probing.figures(predictor, chosen, [group[0] for group in heads])
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
    stems = np.array([artifacts.fingerprint(stem_of(prompt)) for prompt in table.prompts], np.uint64)
    return int(np.isin(stems, predictor.artifact.seen).sum())


def forecast_all(predictor: Predictor, table: Outcomes, heads: Sequence[Sequence[int]]) -> Forecasts:
    """Forecasts for every prompt, one by one as the gateway asks for them; the first prompts are timed (CPU time)."""
    n = len(table)
    p, tokens = np.zeros((n, len(predictor.heads))), np.zeros((n, len(predictor.heads)))
    times = []
    for i, prompt in enumerate(table.prompts):
        started = time.thread_time()
        scores = predictor.forecast(prompt.messages, prompt.tools)
        if i < TIMED_PROMPTS:
            times.append((time.thread_time() - started) * 1000)
        p[i] = scores.p_correct
        tokens[i] = np.add(scores.thinking_tokens, scores.answer_tokens)
    mean_p = np.stack([p[:, list(group)].mean(axis=1) for group in heads], axis=1)
    mean_tokens = np.stack([tokens[:, list(group)].mean(axis=1) for group in heads], axis=1)
    return Forecasts(mean_p, mean_tokens, np.array(times))


def _pair_figures(table: Outcomes, weak: Arm, strong: Arm, forecasts: Forecasts) -> dict[str, Any]:
    """APGR and its kin for choosing between the two arms, and the same for each baseline."""
    w, s = table.arms.index(weak), table.arms.index(strong)
    low, high = table.correct[:, w], table.correct[:, s]
    cost = table.completion[:, s] - table.completion[:, w]
    priced = ~np.isnan(cost)
    gain = forecasts.p[:, -1] - forecasts.p[:, 0]
    extra = forecasts.tokens[:, -1] - forecasts.tokens[:, 0]
    own = baselines.Scores(gain, baselines.per_token(gain, extra))
    ranked: dict[str, baselines.Scores | None] = {"router": own, **baselines.scores(table, weak, strong)}
    if not priced.all() and priced.sum() >= frontier.LEAST_WITH_TOKENS:
        partly = baselines.scores(table.rows(priced), weak, strong)
    else:
        partly = {}
    rows: dict[str, dict[str, Any]] = {}
    for name, score in ranked.items():
        if score is None:
            rows[name] = {"apgr": None, "token_apgr": None, "missing": "no other models ran these prompts"}
            continue
        row = _call_figures(score.calls, low, high, with_interval=name in ("router", "length"))
        by_token = _token_scores(name, score, partly, priced)
        row |= _token_figures(by_token, low[priced], high[priced], cost[priced], with_interval=name == "router")
        rows[name] = row
    random = {
        "apgr": 0.5,
        "token_apgr": 0.5 if priced.sum() >= frontier.LEAST_WITH_TOKENS else None,
        "cpt50": 0.5,
        "cpt80": 0.8,
    }
    best = max((low.mean(), weak.name), (high.mean(), strong.name))
    rows |= {
        "random": random,
        "best_fixed": {"apgr": 0.5, "token_apgr": None, "effort": best[1], "accuracy": float(best[0])},
    }
    _add_recovered(rows)
    router = rows.pop("router")
    return {
        "accuracy_no_think": float(low.mean()),
        "accuracy_think": float(high.mean()),
        "prompts_with_tokens": int(priced.sum()),
        **router,
        "baselines": {name: rows[name] | {"about": about} for name, about in baselines.ABOUT.items()},
    }


def _token_scores(
    name: str, score: baselines.Scores, partly: dict[str, baselines.Scores | None], priced: NDArray[np.bool_]
) -> F64 | None:
    if name in partly:
        found = partly[name]
        return found.tokens if found else None
    if priced.sum() < frontier.LEAST_WITH_TOKENS or score.tokens is None:
        return None
    return score.tokens[priced]


def _call_figures(score: F64, low: F64, high: F64, with_interval: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"apgr": metrics.apgr(score, low, high)}
    if with_interval:
        row["apgr_ci"] = list(metrics.bootstrap(score, low, high))
    return row | {"cpt50": metrics.cpt(score, low, high, 0.5), "cpt80": metrics.cpt(score, low, high, 0.8)}


def _token_figures(score: F64 | None, low: F64, high: F64, cost: F64, with_interval: bool) -> dict[str, Any]:
    if score is None:
        return {"token_apgr": None}
    row: dict[str, Any] = {"token_apgr": metrics.token_apgr(score, low, high, cost)}
    if with_interval:
        row["token_apgr_ci"] = list(metrics.bootstrap(score, low, high, cost))
    return row


def _add_recovered(rows: dict[str, dict[str, Any]]) -> None:
    """`recovered_area` on the axis of calls and, where tokens are known, of tokens."""
    oracle = rows["oracle"]
    for row in rows.values():
        if row["apgr"] is None:
            continue
        row["recovered_area"] = metrics.recovered(row["apgr"], oracle["apgr"])
        if row.get("token_apgr") is not None and oracle.get("token_apgr") is not None:
            row["recovered_token_area"] = metrics.recovered(row["token_apgr"], oracle["token_apgr"])


def _calibration(chosen: Outcomes, forecasts: Forecasts) -> dict[str, Any]:
    """ECE and Brier over all efforts together; per effort also AUC. Curves for the figure."""
    said, real = forecasts.p.ravel(), chosen.correct.ravel()
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
        "brier": metrics.brier(said, real),
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

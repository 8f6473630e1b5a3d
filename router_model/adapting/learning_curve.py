"""A learning curve: routers adapted to growing parts of the data and evaluated on a held-out part."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from router_model.adapting import calibrate
from router_model.data import outcome_reader, output_files
from router_model.data.outcomes import Arm, Matrix, OutcomeError, Outcomes
from router_model.decision.probe_policy import ProbeViews
from router_model.evaluation import forecasting, frontier, matching, metrics, probing
from router_model.evaluation.crossval import Fold
from router_model.evaluation.probing import PRICES
from router_model.model import artifact_reader
from router_model.model.artifact import Artifact
from router_model.model.predict import Predictor

SIZES = (25, 50, 100, 200, 400, 800, 1600)
HELD_OUT = 1 / 3
LEAST_HELD_OUT = 30
DRAWS = 3
_FIGURES = (
    ("token_apgr_probe", "probes"),
    ("token_apgr", "token APGR"),
    ("apgr", "APGR"),
    ("auc", "AUC"),
    ("ece", "ECE"),
)


def run(
    router: str | Path,
    data: Sequence[Path],
    *,
    models: Sequence[str] = (),
    no_think: str | None = None,
    think: str | None = None,
    json_file: Path | None = None,
    sizes: Sequence[int] = SIZES,
    draws: int = DRAWS,
    settings: calibrate.Settings | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Print the curve, and write it to `json_file`. Raises OutcomeError or ArtifactError."""
    base = artifact_reader.load(router)
    table = calibrate.usable(outcome_reader.read(data), models, say)
    pair = table.pair(no_think, think)
    learn, held = _split(table)
    rows = curve(base, learn, held, pair, sizes, draws, settings)
    result = {
        "router": base.version,
        "no_think": pair[0].name,
        "think": pair[1].name,
        "held_out": len(held),
        "rows": rows,
    }
    say(text(result))
    if json_file is not None:
        output_files.put(json_file, json.dumps(result, indent=1) + "\n")
        say(f"Wrote {json_file.absolute()}")
    return result


def _split(table: Outcomes) -> tuple[Outcomes, Outcomes]:
    """The training part and the held-out part; prompts of one phrasing or question are never in both."""
    groups = np.unique([prompt.group for prompt in table.prompts], return_inverse=True)[1]
    order = np.random.default_rng(0).permutation(int(groups.max()) + 1)
    sizes = np.bincount(groups)[order]
    held = np.isin(groups, order[np.cumsum(sizes) - sizes < HELD_OUT * len(table) - 1e-9])
    if held.sum() < LEAST_HELD_OUT or (~held).sum() < calibrate.LEAST_PROMPTS:
        raise OutcomeError(
            f"{len(table)} prompts are too few for a curve: {LEAST_HELD_OUT} are held out for evaluation, "
            f"and at least {calibrate.LEAST_PROMPTS} are needed for training"
        )
    return table.rows(~held), table.rows(held)


def curve(
    base: Artifact,
    learn: Outcomes,
    held: Outcomes,
    pair: tuple[Arm, Arm],
    sizes: Sequence[int] = SIZES,
    draws: int = DRAWS,
    settings: calibrate.Settings | None = None,
) -> list[dict[str, Any]]:
    """One row without adaptation and one per training size: means over draws, and their spread."""
    rows = [_row(0, [evaluated(base, held, pair)])]
    for size in [*(s for s in sizes if s < len(learn)), len(learn)]:
        found = []
        for draw in range(draws if size < len(learn) else 1):
            drawn = learn.rows(np.random.default_rng(draw).permutation(len(learn))[:size])
            adapted = calibrate.calibrate(base, drawn, "curve", settings, lambda line: None)
            found.append(evaluated(adapted, held, pair))
        rows.append(_row(size, found))
    return rows


def _row(size: int, found: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Means over draws, and standard deviations as `*_spread`; None where undefined."""
    row: dict[str, Any] = {"prompts": size}
    for name in found[0]:
        values = np.array([one[name] for one in found])
        row[name], row[f"{name}_spread"] = _plain(float(values.mean())), _plain(float(values.std()))
    return row


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)


def evaluated(artifact: Artifact, held: Outcomes, pair: tuple[Arm, Arm]) -> dict[str, float]:
    """A router's figures on these prompts: APGR over calls, over tokens, and with probes (charged); calibration.

    NaN where undefined.
    """
    w, s = (held.arms.index(arm) for arm in pair)
    held = held.rows(np.asarray(~np.isnan(held.correct[:, [w, s]]).any(axis=1)))
    efforts = _efforts(held, pair)
    predictor = Predictor(artifact)
    heads, _ = matching.match_heads(predictor.heads, efforts)
    forecasts = forecasting.forecast_all([(Fold(predictor, np.arange(len(held))), heads)], held)
    chosen = held.columns(efforts)
    low, high = chosen.correct[:, 0], chosen.correct[:, -1]
    gain = forecasts.p[:, -1] - forecasts.p[:, 0]
    priced = ~np.isnan(chosen.completion).any()
    views = probing.views(predictor, chosen, [group[0] for group in heads]) if priced else None
    known = ~np.isnan(chosen.correct)
    return {
        "apgr": metrics.apgr(gain, low, high),
        "token_apgr": _over_tokens(forecasts, chosen) if priced else float("nan"),
        "token_apgr_probe": _with_probes(views, chosen) if views else float("nan"),
        "auc": metrics.auc(forecasts.p[:, 0], low >= 0.5),
        "ece": metrics.ece(forecasts.p[known], chosen.correct[known]),
        "brier": metrics.brier(forecasts.p[known], chosen.correct[known]),
    }


def _over_tokens(forecasts: frontier.Forecasts, chosen: Outcomes) -> float:
    """Token APGR over all efforts, without probes."""
    everyone = np.zeros(len(chosen), bool)
    return _area(
        [probing.bought(chosen, everyone, frontier.choose(forecasts.p, forecasts.tokens, p)) for p in PRICES], chosen
    )


def _with_probes(seen: ProbeViews, chosen: Outcomes) -> float:
    """Token APGR with probes where they are worth it; their tokens are charged."""
    return _area([probing.bought(chosen, *probing.decide(seen, price)) for price in PRICES], chosen)


def _area(got: Sequence[Matrix], chosen: Outcomes) -> float:
    means = np.array([np.asarray(one).mean(axis=1) for one in got])
    ends = [(float(chosen.completion[:, j].mean()), float(chosen.correct[:, j].mean())) for j in (0, -1)]
    return metrics.capped_area(means[:, 1], means[:, 0], ends[0], ends[1])


def _efforts(held: Outcomes, pair: tuple[Arm, Arm]) -> list[Arm]:
    """The pair and, between its arms, the budgets of the second one that were run on every prompt."""
    weak, strong = pair
    budgets = [
        arm for arm in held.arms if arm.mode == "budget" and arm.model == strong.model and strong.mode == "think"
    ]
    return [weak, *(a for a in budgets if not np.isnan(held.correct[:, held.arms.index(a)]).any()), strong]


def text(result: dict[str, Any]) -> str:
    """The curve as lines for a terminal, with a conclusion."""
    shown = [(key, title) for key, title in _FIGURES if any(row.get(key) is not None for row in result["rows"])]
    lines = [
        f"{result['router']} adapted to {result['no_think']} -> {result['think']}, evaluated on {result['held_out']} "
        "held-out prompts (± standard deviation over draws)",
        f"{'prompts':>8s}" + "".join(f"{title:>14s}" for _, title in shown),
    ]
    for row in result["rows"]:
        lines.append(f"{row['prompts']:>8d}" + "".join(f"{_cell(row, key):>14s}" for key, _ in shown))
    if any(key == "token_apgr_probe" for key, _ in shown):
        lines.append("probes: token APGR with probes, short first answers whose tokens are charged")
    return "\n".join([*lines, _advice(result["rows"], shown[0])])


def _cell(row: dict[str, Any], key: str) -> str:
    if row[key] is None:
        return "-"
    return f"{row[key]:.3f}" + (f" ±{row[f'{key}_spread']:.3f}" if row[f"{key}_spread"] else "")


def _advice(rows: Sequence[dict[str, Any]], by: tuple[str, str]) -> str:
    """What the last increase in prompts gained."""
    key, title = by
    known = [row for row in rows if row[key] is not None]
    if len(known) < 2:
        return "Too little data to tell whether more prompts would help."
    last, before = known[-1], known[-2]
    gain = last[key] - before[key]
    helps = gain > max(0.01, before[f"{key}_spread"])
    advice = "more would help" if helps else "more of the same kind would help little"
    return f"From {before['prompts']} to {last['prompts']} prompts {title} changed by {gain:+.3f}: {advice}."

"""An evaluation for people: tables for the terminal."""

from __future__ import annotations

import math
from typing import Any

_COLUMNS = (
    ("apgr", "APGR"),
    ("recovered_area", "of oracle"),
    ("recovered_of_ceiling", "of ceiling"),
    ("token_apgr", "token APGR"),
    ("recovered_token_area", "of oracle"),
    ("cpt50", "CPT50"),
    ("cpt80", "CPT80"),
    ("aiq", "AIQ"),
    ("token_aiq", "token AIQ"),
)
_SHOWN_DATASETS = 12


def text(result: dict[str, Any]) -> str:
    """The whole evaluation as lines for a terminal."""
    lines = [
        _verdict(result),
        f"{result['router']} on {result['prompts']} prompts: {result['no_think']} "
        f"({_percent(result['accuracy_no_think'])}) -> {result['think']} ({_percent(result['accuracy_think'])})",
        *(f"note: {note}" for note in result["notes"]),
        "",
        *_ranking_lines(result),
        f"95 %: APGR {interval(result['apgr_ci'])}"
        + (f", token APGR {interval(result['token_apgr_ci'])}" if "token_apgr_ci" in result else "")
        + f", CPT50 {interval(result['cpt50_ci'])}, CPT80 {interval(result['cpt80_ci'])}",
        *_text_lines(result),
        *_regret_lines(result),
        f"ECE {_number(result['ece'])} {interval(result['ece_ci'])}   Brier {_number(result['brier'])}   "
        f"AUC of no-think right {_number(result['auc'])}   "
        f"decision p50 {result['decision_ms_p50']:.2f} ms, p99 {result['decision_ms_p99']:.2f} ms (CPU)",
    ]
    if result["dial"]:
        lines += ["", *_frontier_lines(result)]
    return "\n".join(
        lines + _range_lines(result) + _probe_lines(result) + _further_lines(result) + _dataset_lines(result)
    )


def columns(result: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures of a ranking that this evaluation has: their keys and titles."""
    rows = [row for _, row in rankings(result)]
    return [(key, title) for key, title in _COLUMNS if any(row.get(key) is not None for row in rows)]


def rankings(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The router and every baseline."""
    return [("router", result), *result["baselines"].items()]


def _verdict(result: dict[str, Any]) -> str:
    """Against choosing at random as often, which has half of the area."""
    over = "token_apgr" if result.get("token_apgr_ci") else "apgr"
    low, high = result[f"{over}_ci"]
    does = "beats" if low > 0.5 else "is worse than" if high < 0.5 else "is not shown to beat"
    name = dict(_COLUMNS)[over]
    return f"{result['router']} {does} choosing at random: {name} {_number(result[over])} {interval([low, high])} (0.5)"


def _ranking_lines(result: dict[str, Any]) -> list[str]:
    """By how many requests think, and, where tokens are known, by what they take: two blocks."""
    shown, lines = columns(result), []
    for by_tokens in (False, True):
        some = [(key, title) for key, title in shown if ("token" in key) == by_tokens]
        if some:
            lines.append(f"{'':12s}" + "".join(f"{title:>11s}" for _, title in some))
            lines += [_ranking_line(some, name, row) for name, row in rankings(result)]
    return lines


def _ranking_line(shown: list[tuple[str, str]], name: str, row: dict[str, Any]) -> str:
    if "missing" in row:
        return f"{name:12s}    {row['missing']}"
    return f"{name:12s}" + "".join(f"{_number(row.get(key)):>11s}" for key, _ in shown)


def _text_lines(result: dict[str, Any]) -> list[str]:
    if "text_apgr" not in result:
        return []
    return [
        f"{_percent(result['fell_back'])} of prompts fell back to the default effort; had their text been trusted: "
        f"APGR {_number(result['text_apgr'])} {interval(result['text_apgr_ci'])}"
    ]


def _regret_lines(result: dict[str, Any]) -> list[str]:
    found = result["regret"]
    if not found:
        return []
    mean = "  ".join(f"{name} {value:.4f}" for name, value in found["mean"].items())
    return [
        f"regret over prices of {found['in']}: {mean}",
        f"gap from the best fixed effort to the oracle, recovered over prices: "
        f"{_number(found['recovered_gap']['router'])} {interval(found['recovered_gap_ci']['router'])}",
    ]


def _further_lines(result: dict[str, Any]) -> list[str]:
    gamed, lines = result["gaming"], [""]
    if gamed:
        name, worst = gamed["worst_upgrade"]
        lines.append(
            f"attacks on {gamed['prompts']} prompts at dial {gamed['dial']}: effort rises "
            f"{_percent(gamed['upgrade_rate'])} (thinking begins {_percent(gamed['none_to_think_rate'])}), "
            f"falls {_percent(gamed['downgrade_rate'])}; "
            f"most: {name} {_percent(worst)}"
        )
    for row in result["risk"] or ():
        lines.append(
            f"promise of at most {_percent(row['max_regret'])} harm: broken in {_percent(row['violations'])} of "
            f"{row['splits']} splits, at {_percent(row['share_of_tokens'])} of always-think's tokens"
        )
    return lines


def _dataset_lines(result: dict[str, Any]) -> list[str]:
    rows = result["datasets"]
    if len(rows) < 2:
        return []
    lines = [
        "",
        f"{'':18s}{'n':>6s}{'none':>8s}{'think':>8s}{'APGR':>21s}{'length':>7s}{'ECE':>6s}",
    ]
    for row in rows[:_SHOWN_DATASETS]:
        area = "-" if row["apgr"] is None else f"{_number(row['apgr'])} {interval(row['apgr_ci'])}"
        lines.append(
            f"{row['dataset'][-18:]:18s}{row['prompts']:>6d}{_percent(row['accuracy_no_think']):>8s}"
            f"{_percent(row['accuracy_think']):>8s}{area:>21s}{_number(row['length_apgr']):>7s}"
            f"{_number(row['ece']):>6s}"
        )
    below = [row["dataset"] for row in rows if row["below_random"]]
    judged = sum(row["apgr"] is not None for row in rows)
    lines.append(
        f"{len(rows)} data sets, {judged} where thinking gains a point or more; below chance beyond noise: "
        f"{', '.join(below) or 'none'}"
    )
    return lines


def _frontier_lines(result: dict[str, Any]) -> list[str]:
    lines = [f"{'':24s}{'accuracy':>10s}{'thinking':>10s}{'tokens':>10s}{'over random':>13s}{'over fixed':>12s}"]
    for point in (*result["fixed"], *result["dial"]):
        thinking = "-" if point["thinking"] is None else f"{point['thinking']:.1f}"
        over = "".join(f"{_points(point[k]):>{w}s}" for k, w in (("over_random", 13), ("over_fixed", 12)) if k in point)
        lines.append(
            f"{point['name'][:24]:24s}{_percent(point['accuracy']):>10s}{thinking:>10s}{point['tokens']:>10.1f}{over}"
        )
    share = result["thinking_share_at_minus_1_5_points"]
    if share is not None:
        lines.append(
            f"Within 1.5 points of {result['think']} at {_percent(share)} of its "
            f"{'thinking ' if result['fixed'][-1]['thinking'] else ''}tokens (best price in hindsight)"
        )
    return lines


def _range_lines(result: dict[str, Any]) -> list[str]:
    found = result["token_ranges"]
    if not found:
        return []
    told = (
        f"{_percent(min(shares))} to {_percent(max(shares))} of {name}"
        for kind, name in (("thinking", "thoughts"), ("answer", "answers"))
        if (shares := [row["within"] for row in found[kind].values()])
    )
    return [f"token counts from the P10 to the P90 forecast: {', '.join(told)}, by effort (80 % would be right)"]


def _probe_lines(result: dict[str, Any]) -> list[str]:
    found = result.get("probe")
    if not found:
        return []
    lines = [
        "",
        f"with a probe (its tokens charged; {_percent(found['strange'])} of prompts are out of distribution): "
        f"AUC {found['auc_after']:.3f}, ECE {found['ece_after']:.3f}",
    ]
    for ask in ("auto", "always", "never"):
        row = found[ask]
        shares = [row[f"thinking_share_{name}"] for name in ("within_interval", "at_minus_1_point")]
        kept, near = ("no price" if share is None else _percent(share) for share in shares)
        lines.append(
            f"  {ask:8s} token APGR {row['token_apgr']:.3f} {interval(row['token_apgr_ci'])}   always-think's accuracy "
            f"within its interval at {kept} of its thinking tokens, within 1 point at {near}"
        )
    return lines


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def interval(value: list[float]) -> str:
    """Both ends of an interval."""
    return f"[{_number(value[0])}, {_number(value[1])}]"

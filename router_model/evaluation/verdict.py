"""The verdict on a router in words: what it beats, what beats it, and on how many prompts that rests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Row = dict[str, Any]

_NAMES = {
    "random": "choosing at random",
    "length": "prompt length only",
    "dataset": "data set's name only",
}
# Differences in accuracy below this are not worth a warning.
_MARGIN = 0.005


def of(result: Mapping[str, Any]) -> Row:
    """The verdict on an evaluation's figures.

    `against` has the difference in area to each baseline with its interval; `beats`, `loses_to` and `not_shown` name
    baselines by whether that interval excludes 0. All three are empty where prompts were trained on. `words` are lines.
    """
    axis = "token_apgr" if result.get("token_apgr_ci") else "apgr"
    trained = int(result["seen_in_training"])
    against = {name: row[axis] for name, row in result["over"].items() if row.get(axis)}
    verdict: Row = {
        "figure": axis,
        "unseen_prompts": int(result["prompts"]) - trained,
        "trained_on": trained,
        "against": against,
        "beats": [name for name, row in against.items() if row["ci"][0] > 0 and not trained],
        "loses_to": [name for name, row in against.items() if row["ci"][1] < 0 and not trained],
    }
    decided = {*verdict["beats"], *verdict["loses_to"]}
    verdict["not_shown"] = [name for name in against if name not in decided and not trained]
    verdict["words"] = list(_words(result, verdict))
    return verdict


def _words(result: Mapping[str, Any], verdict: Row) -> Iterator[str]:
    axis, unseen = verdict["figure"], verdict["unseen_prompts"]
    figure = f"{axis.replace('_', ' ').replace('apgr', 'APGR')} {result[axis]:.3f} {_span(result[axis + '_ci'])}"
    if verdict["trained_on"]:
        yield (
            f"NO VERDICT: {result['router']} was trained on {verdict['trained_on']} of these {result['prompts']} "
            f"prompts, so its {figure} says nothing about new requests. Judge it on a table with held-out prompts "
            "(`thinkgate collect --hold-out`) or on new ones"
        )
        return
    random = "beats" if "random" in verdict["beats"] else "is worse than" if "random" in verdict["loses_to"] else ""
    yield (
        f"{result['router']} {random or 'is not shown to beat'} choosing at random: {figure} (0.5), "
        f"on {unseen} unseen prompts"
    )
    for kind, words in (("beats", "beats"), ("not_shown", "is not shown to beat")):
        names = [name for name in verdict[kind] if name != "random"]
        if names:
            yield f"{words} " + "; ".join(_by(name, verdict["against"][name]) for name in names)
    for name in verdict["loses_to"]:
        yield f"WARNING: loses to {_by(name, verdict['against'][name])}"
    yield from _fixed(result)


def _by(name: str, row: Row) -> str:
    return f"{_NAMES[name]} (by {row['difference']:+.3f} {_span(row['ci'])})"


def _span(ends: list[float]) -> str:
    return f"[{ends[0]:.3f}, {ends[1]:.3f}]"


def _fixed(result: Mapping[str, Any]) -> Iterator[str]:
    """Warnings where one effort for all requests does as well as the router, or better."""
    low, high = result["accuracy_no_think"], result["accuracy_think"]
    if high <= low:
        yield (
            f"WARNING: {result['think']} is right on {high:.1%} of these prompts, {result['no_think']} on {low:.1%}: "
            "never thinking is as good, and cheaper"
        )
        return
    for fixed in result["fixed"] or ():
        beaten = [
            point["name"].removeprefix("dial-")
            for point in result["dial"]
            if fixed["accuracy"] > point["accuracy"] + _MARGIN and fixed["tokens"] <= point["tokens"]
        ]
        if beaten:
            yield (
                f"WARNING: {fixed['name']} for every request is right more often, with no more tokens, than dial "
                f"{', '.join(beaten)}"
            )

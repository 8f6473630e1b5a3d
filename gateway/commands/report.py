"""`thinkgate report`: what recorded requests came to, by key, model, arm, experiment or day."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from gateway.commands.level_report import levels_of
from gateway.commands.level_report import lines as level_lines
from gateway.commands.lines import say, say_json
from gateway.commands.moment import SINCE, UNTIL, check_span
from gateway.commands.options import CONFIG, JSON
from gateway.core.errors import ConfigError, GatewayError, suggestion
from gateway.core.record_query import RecordQuery
from gateway.core.record_totals import Grouping, RecordTotals, Total

if TYPE_CHECKING:
    from gateway.config.settings import Settings

Json = dict[str, Any]
GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)
DAY_S = 86_400
# Of the standard normal distribution: 95 % lie between minus and plus this.
Z = 1.96


@click.command()
@CONFIG
@click.option("--by", default="model", show_default=True, help=f"One or more of {', '.join(GROUPINGS)}: `key,day`.")
@SINCE
@UNTIL
@click.option("--key", help="Only requests of this key.")
@click.option("--model", help="Only requests of this public model.")
@click.option("--arm", help="Only requests of this arm.")
@click.option("--what-if", "what_if", multiple=True, metavar="dial=X", help="Estimate another dial, as replay does.")
@click.option("--levels", "with_levels", is_flag=True, help="Also what each level took, and which change nothing.")
@JSON
def report(
    config: Path,
    by: str,
    since: float,
    until: float,
    key: str | None,
    model: str | None,
    arm: str | None,
    what_if: tuple[str, ...],
    with_levels: bool,
    as_json: bool,
) -> None:
    """Sum up recorded requests: tokens, dollars, outcomes and latency, with 95 % intervals."""
    from gateway.assembly import archive
    from gateway.config import settings

    chosen = settings.load(config)
    groupings = _groupings(by)
    check_span(since, until)
    positions = tuple(map(_position, what_if))
    stored, query = archive(chosen), RecordQuery(since, until, key, model, arm)
    try:
        found = stored.totals(query, groupings)
        levels = levels_of(stored, query) if with_levels else None
    except GatewayError as error:
        raise ConfigError([error.message]) from error
    told: Json = {"by": list(groupings), "groups": [_as_json(groupings, each) for each in found]}
    if levels is not None:
        told["levels"] = levels
    if positions:
        told["what_if"] = _what_if(chosen, model, since, positions)
    if as_json:
        say_json(told)
        return
    for line in lines(told):
        say(line)


def _groupings(by: str) -> list[Grouping]:
    names = [name.strip() for name in by.split(",") if name.strip()]
    unknown = [name for name in names if name not in GROUPINGS]
    if unknown or not names:
        raise ConfigError(
            [f"--by: {name!r} is no grouping.{suggestion(name, GROUPINGS)}" for name in unknown] or ["--by: name one"]
        )
    return [name for name in GROUPINGS if name in names]


def _position(text: str) -> float:
    name, _, value = text.partition("=")
    try:
        position = float(value)
    except ValueError:
        position = math.nan
    if name != "dial" or not 0 <= position <= 1:
        raise ConfigError([f"--what-if: {text!r} is not like dial=0.4, with a number from 0 to 1"])
    return position


def _what_if(chosen: Settings, name: str | None, since: float, positions: tuple[float, ...]) -> Json:
    from gateway.commands.replay import replayed

    return replayed(chosen, name, since, positions, ())


def _as_json(by: Sequence[Grouping], found: RecordTotals) -> Json:
    group: Json = {name: _name(name, value) for name, value in zip(by, found.group, strict=True)}
    outcome, latency, first = found.outcome, found.latency, found.first_answer
    return {
        **group,
        "requests": found.requests,
        "errors": found.errors,
        "prompt_tokens": found.prompt_tokens,
        "completion_tokens": found.completion_tokens,
        "thinking_tokens": found.reasoning_tokens,
        "dollars": found.dollars,
        "outcome": {"n": outcome.n, "mean": outcome.mean, "ci": _share(outcome)},
        "latency_s": {"n": latency.n, "mean": latency.mean, "ci": _amount(latency)},
        "first_answer_s": {"n": first.n, "mean": first.mean, "ci": _amount(first)},
    }


def _name(grouping: Grouping, value: str | int | None) -> str | None:
    if grouping == "day" and isinstance(value, int):
        return time.strftime("%Y-%m-%d", time.gmtime(value * DAY_S))
    return None if value is None else str(value)


def _share(total: Total) -> list[float] | None:
    """Of a mean of scores in [0, 1]: Wilson's, which is no narrower for scores between."""
    from router_model.evaluation.intervals import wilson

    return None if total.mean is None else list(wilson(total.mean, total.n))


def _amount(total: Total) -> list[float] | None:
    if total.mean is None or total.variance is None:
        return None
    half = Z * math.sqrt(total.variance / total.n)
    return [total.mean - half, total.mean + half]


def lines(told: Json) -> Iterator[str]:
    """For people, in 80 columns."""
    by = told["by"]
    if not told["groups"]:
        yield "No request is recorded that this asks for."
    else:
        yield f"{' '.join(by)[:24]:<24}{'requests':>9}{'failed':>7}{'thinking':>10}{'dollars':>9}{'outcome':>21}"
    for one in told["groups"]:
        name = " ".join(one[grouping] or "-" for grouping in by)
        outcome, ci = one["outcome"], one["outcome"]["ci"]
        shown = "-" if ci is None else f"{outcome['mean']:.3f} [{ci[0]:.3f}, {ci[1]:.3f}]"
        yield (
            f"{name[:23]:<24}{one['requests']:>9}{one['errors']:>7}{one['thinking_tokens']:>10}{one['dollars']:>9.4f}"
            f"{shown:>21}"
        )
    if "levels" in told:
        yield ""
        yield from level_lines(told["levels"])
    if "what_if" in told:
        from gateway.commands.replay import lines as replay_lines

        yield ""
        yield from replay_lines(told["what_if"])

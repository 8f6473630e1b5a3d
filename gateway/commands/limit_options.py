"""The limits of a key or team as options of a command, and their units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from gateway.core.errors import ConfigError, suggestion

F = TypeVar("F", bound=Callable[..., Any])

UNITS = {
    "requests_per_minute": "requests",
    "tokens_per_minute": "tokens",
    "thinking_per_hour": "thinking tokens",
    "thinking_per_day": "thinking tokens",
    "dollars_per_day": "$",
    "dollars_per_month": "$",
    "max_parallel_requests": "requests",
    "max_bytes_in_flight": "bytes",
    "overspend": "of the thinking limits",
    "overspend_dollars": "of the dollar limits",
}

_COUNTED = (
    click.option("--requests-per-minute", type=int),
    click.option("--tokens-per-minute", type=int),
    click.option("--thinking-per-hour", type=int, help="Thinking tokens."),
    click.option("--thinking-per-day", type=int, help="Thinking tokens."),
    click.option("--dollars-per-day", type=float),
    click.option("--dollars-per-month", type=float),
    click.option("--max-parallel-requests", type=int, help="Parallel requests; overrides [access]."),
    click.option("--max-bytes-in-flight", type=int, help="Total size of parallel bodies; overrides [access]."),
    click.option("--overspend", type=float, help="Fraction by which thinking limits may be exceeded at worst."),
    click.option("--overspend-dollars", type=float, help="The same for limits on dollars."),
    click.option("--learn/--no-learn", default=None, help="Whether requests may be answered again to learn from them."),
)
_OF_KEYS = (
    click.option("--model", "models", multiple=True, help="A model that the key may use; repeatable. Default: all."),
    click.option("--ceiling", metavar="EFFORT|TOKENS", help="The strongest effort: a level or a budget."),
    click.option("--floor", metavar="EFFORT|TOKENS", help="The weakest effort: a level or a budget."),
)
NO_LIMITS = click.option("--no-limit", "removed", multiple=True, metavar="NAME", help="Remove a limit; repeatable.")


def team_limits(command: F) -> F:
    """The options of limits that a team may have."""
    return _with(command, _COUNTED)


def key_limits(command: F) -> F:
    """The options of limits that a key may have."""
    return _with(command, (*_OF_KEYS, *_COUNTED))


def given(options: dict[str, Any], removed: Iterable[str] = ()) -> dict[str, Any]:
    """The limits as a table, with null for each one to be removed. ConfigError: one is both set and removed."""
    table = {name: value for name, value in options.items() if value is not None and value != ()}
    if "models" in table:
        table["models"] = list(table["models"])
    for name in ("ceiling", "floor"):
        if str(table.get(name, "")).isdecimal():
            table[name] = int(table[name])
    for name in (each.replace("-", "_") for each in removed):
        if name in table:
            raise ConfigError([f"--no-limit: {name} is also set"])
        table[name] = None
    return table


def check_models(models: Iterable[str], known: Iterable[str]) -> None:
    """ConfigError: the configuration has no such model."""
    known = [*known]
    unknown = [model for model in models if model not in known]
    if unknown:
        raise ConfigError([f"--model: {each!r} is not among [models].{suggestion(each, known)}" for each in unknown])


def written(name: str, value: Any) -> str:
    """A limit with its unit."""
    unit = UNITS.get(name)
    if unit is None:
        return f"{name} {', '.join(value) if isinstance(value, list) else value}"
    if unit == "$":
        return f"{name} ${value:g}"
    return f"{name} {value:.0%} {unit}" if isinstance(value, float) else f"{name} {value:,} {unit}"


def _with(command: F, options: Iterable[Callable[[F], F]]) -> F:
    for option in reversed([*options]):
        command = option(command)
    return command

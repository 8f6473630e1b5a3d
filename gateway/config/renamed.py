"""Renamed settings: the old name is accepted for one more release, with a warning."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from gateway.core.errors import ConfigError

log = logging.getLogger("thinkgate")


class RenamedSetting(NamedTuple):
    """A key of the tables at `path`, where `*` matches any name."""

    path: tuple[str, ...]
    old: str
    new: str


RENAMED = (
    RenamedSetting(("deployments", "*"), "probe", "verify"),
    RenamedSetting(("families", "*"), "faults", "known_issues"),
    RenamedSetting(("families", "*", "vllm"), "faults", "known_issues"),
    RenamedSetting(("families", "*", "sglang"), "faults", "known_issues"),
)


def with_new_names(table: dict[str, Any]) -> dict[str, Any]:
    """The settings under their new names, with one warning per old name in use. ConfigError: both names are given."""
    both: list[str] = []
    in_use: dict[tuple[str, str], list[str]] = {}
    for renamed in RENAMED:
        table = _renamed(table, renamed.path, "", renamed, both, in_use)
    if both:
        raise ConfigError(both)
    for (old, new), where in in_use.items():
        log.warning(
            "%s: `%s` is now called `%s`; the next release accepts only the new name", ", ".join(where), old, new
        )
    return table


def _renamed(
    table: Any,
    path: tuple[str, ...],
    where: str,
    renamed: RenamedSetting,
    both: list[str],
    in_use: dict[tuple[str, str], list[str]],
) -> Any:
    """A renamed copy; the given table is not modified."""
    if not isinstance(table, dict):
        return table
    if path:
        name, rest = path[0], path[1:]
        inner = table if name == "*" else {name} & table.keys()
        return {**table, **{key: _renamed(table[key], rest, f"{where}{key}.", renamed, both, in_use) for key in inner}}
    _, old, new = renamed
    if old not in table:
        return table
    if new in table:
        both.append(f"{where}{new}: {old!r} is its old name, and both are given: leave {old!r} out")
        return table
    in_use.setdefault((old, new), []).append(f"{where}{old}")
    return {new if key == old else key: value for key, value in table.items()}

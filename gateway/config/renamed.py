"""Settings that have a new name: the old one is read for one more release, with a warning."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from gateway.core.errors import ConfigError

log = logging.getLogger("thinkgate")


class RenamedSetting(NamedTuple):
    """A key of the tables at `path`, in which `*` stands for any name."""

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
    """The same settings under their new names; each old one that is met is warned of once.

    ConfigError: some are there under both names.
    """
    both: list[str] = []
    met: dict[tuple[str, str], list[str]] = {}
    for renamed in RENAMED:
        table = _renamed(table, renamed.path, "", renamed, both, met)
    if both:
        raise ConfigError(both)
    for (old, new), where in met.items():
        log.warning("%s: `%s` is called `%s` now; the next release reads only that", ", ".join(where), old, new)
    return table


def _renamed(
    table: Any,
    path: tuple[str, ...],
    where: str,
    renamed: RenamedSetting,
    both: list[str],
    met: dict[tuple[str, str], list[str]],
) -> Any:
    """What is there is left as it is: a part that changes is a new table."""
    if not isinstance(table, dict):
        return table
    if path:
        name, rest = path[0], path[1:]
        inner = table if name == "*" else {name} & table.keys()
        return {**table, **{key: _renamed(table[key], rest, f"{where}{key}.", renamed, both, met) for key in inner}}
    _, old, new = renamed
    if old not in table:
        return table
    if new in table:
        both.append(f"{where}{new}: {old!r} is its old name, and both are given: leave {old!r} out")
        return table
    met.setdefault((old, new), []).append(f"{where}{old}")
    return {new if key == old else key: value for key, value in table.items()}

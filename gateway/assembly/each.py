"""Helpers that build all entries of a table, reporting all errors at once, and look up deployments by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from gateway.core.deployment import Deployment
from gateway.core.errors import ConfigError, suggestion

S = TypeVar("S")
P = TypeVar("P")


def each(table: Mapping[str, S], where: str, build: Callable[[str, S], P]) -> dict[str, P]:
    """Build every entry of a table. ConfigError lists the errors of all entries."""
    built: dict[str, P] = {}
    faults: list[str] = []
    for name, entry in table.items():
        try:
            built[name] = build(name, entry)
        except ConfigError as error:
            faults += [f"{where}.{name}.{fault}" for fault in error.faults]
    if faults:
        raise ConfigError(faults)
    return built


def named(name: str | None, known: Mapping[str, Deployment]) -> Deployment | None:
    if name is None:
        return None
    if name not in known:
        raise ConfigError([f"deployment {name!r} is not among [deployments].{suggestion(name, known)}"])
    return known[name]

"""The family table: builds families from the shipped TOML rows and the operator's own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import ValidationError

from gateway.config.family_row import OPEN_ENGINES, PARTS, Cells, Engine, EngineRow, FamilyRow, KnownIssueRow, TableFile
from gateway.config.problems import faults
from gateway.core.errors import ConfigError, suggestion
from gateway.core.family import EngineTraits, Family, KnownIssue
from gateway.families.nearest import replacements

CELLS = ("about", "passes_through", *(cell for cells in PARTS.values() for cell in cells))
_TRAITS = ("counts_prompts", "counts_with_effort", "hide_field", "stops_in_thoughts", "load_metrics")
# The source of replacement levels where the maker documents none.
BY_RULE = "the rule of nearest.py"


class FamilyTable:
    """Families by name. A cell comes from the row, else from its base, else from its engine."""

    def __init__(self, engines: Mapping[Engine, EngineRow], rows: Mapping[str, tuple[FamilyRow, ...]]) -> None:
        """`rows` lists the rows of each name, the one that takes precedence last."""
        self._engines = engines
        self._rows = rows

    def names(self) -> tuple[str, ...]:
        return tuple(self._rows)

    def with_rows(self, own: Mapping[str, FamilyRow]) -> FamilyTable:
        """This table plus an operator's rows; a row with a known name overrides it cell by cell."""
        return FamilyTable(
            self._engines, {**self._rows, **{name: (*self._rows.get(name, ()), own[name]) for name in own}}
        )

    def all_engines(self) -> tuple[Engine, ...]:
        return tuple(self._engines)

    def engines(self, name: str) -> tuple[Engine, ...]:
        """The engines that serve a family, usual one first. ConfigError: unknown family or base, cyclic bases."""
        own: Engine = next(
            (row.engine for row in reversed(self._path(name)) if row.engine is not None), OPEN_ENGINES[0]
        )
        return (own, *(other for other in OPEN_ENGINES if other != own)) if own in OPEN_ENGINES else (own,)

    def family(self, name: str, engine: Engine | None = None) -> Family:
        """A family as an engine (by default the usual one) serves it. ConfigError: as for `engines`, an engine that
        does not serve it, or contradictory cells.
        """
        known = self.engines(name)
        if engine is not None and engine not in known:
            raise ConfigError([f"engine: {engine} does not serve family {name}, but {' or '.join(known)}"])
        host = self._engines[engine or known[0]]
        cells: dict[str, Any] = {}
        sources: dict[str, str] = {}
        found: list[KnownIssueRow] = []
        for row in (host, *self._cells(name, engine or known[0])):
            cells |= {cell: getattr(row, cell) for cell in CELLS if cell in row.model_fields_set}
            sources |= _sources(row)
            found += row.known_issues
        if cells.get("budget_field") is not None and cells["budget_field"] == host.budget_field:
            found += host.budget_known_issues
        documented = cells.get("nearest", {})
        cells["nearest"] = replacements(cells.get("levels", {}), cells.get("off") is not None, documented)
        if cells["nearest"]:
            sources.setdefault("nearest", BY_RULE)
        family = Family(
            name=name,
            engine=engine or known[0],
            host=EngineTraits((engine or known[0]) in OPEN_ENGINES, **{name: getattr(host, name) for name in _TRAITS}),
            known_issues=tuple(KnownIssue(**issue.model_dump()) for issue in found),
            sources=sources,
            **{"about": "", "hybrid": True, "off": None, **cells},
        )
        _refuse_contradiction(family)
        return family

    def _cells(self, name: str, engine: Engine) -> Iterator[Cells]:
        """The rows that define a family at an engine, the ones that take precedence last."""
        for row in self._path(name):
            yield row
            at_engine = row.at(engine)
            if at_engine is not None:
                yield at_engine

    def _path(self, name: str) -> list[FamilyRow]:
        """The rows from the farthest base to the family itself."""
        path: list[FamilyRow] = []
        seen: list[str] = []
        here: str | None = name
        while here is not None:
            if here not in self._rows:
                what = "base: " if seen else ""
                raise ConfigError([f"{what}{here!r} is unknown.{suggestion(here, self._rows)}"])
            if here in seen:
                raise ConfigError([f"base: {' → '.join((*seen, here))} is a cycle"])
            seen.append(here)
            path = [*self._rows[here], *path]
            here = next((row.base for row in reversed(self._rows[here]) if row.base is not None), None)
        return path


def _sources(row: Cells) -> dict[str, str]:
    """The source of each part, including sources of parts that the row does not set."""
    parts = {part: row.source for part, cells in PARTS.items() if row.source and row.model_fields_set & {*cells}}
    return parts | row.sources.model_dump(exclude_unset=True)


def _refuse_contradiction(family: Family) -> None:
    faults = []
    if family.levels and family.level_field is None:
        faults.append("level_field: is required where there are levels")
    if family.budget_most is not None and family.budget_most < family.budget_least:
        faults.append(f"budget_most: {family.budget_most} is less than budget_least, {family.budget_least}")
    if family.off is None and family.on is None:
        faults.append("off: both off and on are false, so that thinking cannot be controlled")
    if faults:
        raise ConfigError(faults)


@cache
def shipped() -> FamilyTable:
    """The shipped table. ConfigError: its file is invalid."""
    read = tomllib.loads((files("gateway.families") / "table.toml").read_text("utf-8"))
    try:
        table = TableFile.model_validate(read)
    except ValidationError as error:
        raise ConfigError([f"table.toml: {fault}" for fault in faults(error, TableFile)]) from error
    return FamilyTable(table.engines, {name: (row,) for name, row in table.families.items()})


@cache
def family(name: str, engine: Engine | None = None) -> Family:
    """A family of the shipped table. ConfigError: as for `Table.family`."""
    return shipped().family(name, engine)

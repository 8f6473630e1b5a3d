"""`thinkgate families`: prints the family table, as text or JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.commands.lines import say, say_json
from gateway.commands.options import JSON
from gateway.core.errors import ConfigError, suggestion

if TYPE_CHECKING:
    from gateway.config.family_row import Engine


@click.command()
@click.argument("name", required=False)
@click.option("--engine", help="The engine that serves them; by default, the usual one of each family.")
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file whose own families are shown, too.")
@JSON
def families(name: str | None, engine: Engine | None, config: Path | None, as_json: bool) -> None:
    """List the known families, or show all about one, with sources."""
    from gateway.config import settings
    from gateway.families import describe, table

    known = table.shipped().with_rows({} if config is None else settings.load(config).families)
    if name is not None and name not in known.names():
        raise ConfigError([f"family {name!r} is unknown.{suggestion(name, known.names())}"])
    if engine is not None and engine not in known.all_engines():
        raise ConfigError([f"engine {engine!r} is unknown.{suggestion(engine, known.all_engines())}"])
    chosen = known.names() if name is None else (name,)
    rows = [known.family(one, engine) for one in chosen if name or engine in (None, *known.engines(one))]
    if as_json:
        say_json([asdict(row) for row in rows])
        return
    width = max(map(len, chosen))
    for row in rows if name is None else ():
        say(f"{row.name:{width}}  {'/'.join(known.engines(row.name)):11}  {row.about}", hang=width + 15)
    for row in rows if name is not None else ():
        say(f"{row.name} ({row.engine}), {row.about}.")
        for line in describe.describe_family(row, sources=True):
            say(f"  {line}")
        for issue in row.known_issues:
            say(f"  Known issue. {describe.describe_issue(issue, sources=True)}")

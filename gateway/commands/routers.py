"""`thinkgate routers`: the versions that were learned, which of them serve, and how to change that by hand."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands.learning import evidence_line
from gateway.commands.lines import say
from gateway.commands.options import CONFIG, JSON

if TYPE_CHECKING:
    from gateway.routing.version_control import VersionControl

MODEL = click.option("--model", "name", help="Needed where several models have learned versions.")
BY_COMMAND = "by command"


@click.group()
def routers() -> None:
    """Versions of routers that were learned from traffic (`thinkgate learn`)."""


@routers.command("list")
@CONFIG
@JSON
def list_versions(config: Path, as_json: bool) -> None:
    """List the versions of each model, with what they were learned from and how they compare."""
    told = _control(config).described()
    if as_json:
        click.echo(json.dumps(told))
        return
    for model in told:
        say(f"{model['model']}: {model['serving']} serves (configured: {model['configured']})")
        for sign, what in model["drift"].items():
            say(f"  DRIFT of {sign}: {what}")
        for one in model["versions"]:
            since = datetime.fromtimestamp(one["since"], UTC).strftime("%Y-%m-%d %H:%M")
            say(f"  {one['state']:<8} {one['version']} since {since}: {one['why']}")
            for found in one["evidence"].get("estimates", []):
                say(f"    {evidence_line(found)}")
    if not told:
        say("Nothing was learned yet: `thinkgate learn` makes versions from recorded traffic.")


@routers.command()
@CONFIG
@MODEL
@click.option("--version", help="Which one; the one that is being tried otherwise.")
@JSON
def promote(config: Path, name: str | None, version: str | None, as_json: bool) -> None:
    """Let a version serve from now on, whatever is known of it."""
    _said(_control(config).promote(name, version, time.time(), BY_COMMAND), as_json)


@routers.command()
@CONFIG
@MODEL
@JSON
def rollback(config: Path, name: str | None, as_json: bool) -> None:
    """Retire the version that is being tried or, if none is, the one that serves: the one before serves again."""
    _said(_control(config).rollback(name, time.time(), BY_COMMAND), as_json)


def _control(config: Path) -> VersionControl:
    from gateway.assembly.served_versions import version_control
    from gateway.config import settings

    return version_control(settings.load(config))


def _said(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found))
        return
    say(f"model {found['model']}: {found['serving']} serves. A gateway that runs takes this up within seconds.")

"""`thinkgate keys team`: budgets that several keys share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands.keys import say_usage, say_where, store_of
from gateway.commands.limit_options import NO_LIMITS, given, team_limits, written
from gateway.commands.lines import say, say_json
from gateway.commands.options import CONFIG, JSON

if TYPE_CHECKING:
    from gateway.auth.teams import Teams

NAME = click.argument("name")


@click.group()
def team() -> None:
    """Teams: limits over several keys, besides the limits of each key."""


@team.command()
@NAME
@CONFIG
@team_limits
@JSON
def create(name: str, config: Path, as_json: bool, **limits: Any) -> None:
    """Create a team. Put keys into it with `keys create --team` or `keys update --team`."""
    from gateway.auth.limits import NewTeam

    teams = _teams(config)
    _say(teams.describe(teams.create(NewTeam.read({"name": name, "limits": given(limits)}))), as_json)
    say_where(teams.keys)


@team.command("list")
@CONFIG
@JSON
def list_teams(config: Path, as_json: bool) -> None:
    """List all teams, their limits and their usage."""
    teams = _teams(config)
    described = [teams.describe(each) for each in teams.all()]
    if as_json:
        say_json({"object": "list", "data": described})
        return
    for each in described:
        used = each["usage"]["all"]
        count = f"{len(each['keys'])} key{'' if len(each['keys']) == 1 else 's'}"
        usage = f"{used['requests']} requests, {used['thinking_tokens']} thinking tokens, ${used['dollars']:.4f}"
        say(f"{each['name']}: {count}; {usage}; {_limits(each)}")


@team.command()
@NAME
@CONFIG
@JSON
def show(name: str, config: Path, as_json: bool) -> None:
    """Show a team's limits, keys and usage."""
    teams = _teams(config)
    _say(teams.describe(teams.get(name)), as_json)


@team.command()
@NAME
@CONFIG
@team_limits
@NO_LIMITS
@JSON
def update(name: str, config: Path, removed: tuple[str, ...], as_json: bool, **limits: Any) -> None:
    """Change a team's limits at once. The rest stays."""
    from gateway.auth.limits import TeamChange

    teams = _teams(config)
    _say(teams.describe(teams.update(name, TeamChange.read({"limits": given(limits, removed)}))), as_json)
    say_where(teams.keys)


@team.command()
@NAME
@CONFIG
def remove(name: str, config: Path) -> None:
    """Remove a team that has no keys, other than revoked ones."""
    teams = _teams(config)
    teams.remove(name)
    say_where(teams.keys)


def _teams(config: Path) -> Teams:
    from gateway.auth.teams import Teams

    return Teams(store_of(config))


def _say(described: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(described)
        return
    click.echo(f"name: {described['name']}")
    say(f"keys: {', '.join(described['keys']) or 'none'}")
    say(f"limits: {_limits(described)}")
    say_usage(described["usage"])


def _limits(described: dict[str, Any]) -> str:
    return ", ".join(written(name, value) for name, value in described["limits"].items()) or "none"

"""`thinkgate keys`: create, update, list, show, rotate and revoke API keys. Running gateways apply changes at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands.duration import Duration
from gateway.commands.limit_options import NO_LIMITS, check_models, given, key_limits, written
from gateway.commands.lines import COLUMNS, say, say_json, stored
from gateway.commands.options import CONFIG, JSON
from gateway.core.errors import ConfigError, GatewayError

if TYPE_CHECKING:
    from gateway.auth.keys import Keys

_DAY = len("2026-01-01")
_NAME = 1
_COLUMNS = ("id", "name", "state", "expires", "requests", "thinking", "dollars")


ID = click.argument("id")


class _Keys(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            raise ConfigError([error.message]) from error


@click.group(cls=_Keys)
def keys() -> None:
    """Manage API keys and their limits."""


@keys.command()
@click.argument("name")
@CONFIG
@click.option("--team", help="The team whose limits hold besides its own.")
@key_limits
@click.option("--expires", type=Duration(), metavar="DURATION", help="From now: 90s, 30m, 24h, 7d. Default: never.")
@JSON
def create(name: str, config: Path, team: str | None, expires: float | None, as_json: bool, **limits: Any) -> None:
    """Create a key and print its secret, which is not shown again."""
    from gateway.auth.limits import NewKey
    from gateway.config import settings

    check_models(limits["models"], settings.load(config).models)
    store = store_of(config)
    new = {"name": name, "expires_in_s": expires, "team": team, "limits": given(limits)}
    key, secret = store.create(NewKey.read(new))
    _say_secret(store.describe(key), secret, as_json)
    say_where(store)


@keys.command()
@ID
@CONFIG
@click.option("--name", help="A new name.")
@click.option("--team", help="The team to move it to.")
@click.option("--no-team", is_flag=True, help="Take it out of its team.")
@key_limits
@NO_LIMITS
@click.option("--expires", type=Duration(), metavar="DURATION", help="From now: 90s, 30m, 24h, 7d.")
@click.option("--never-expires", is_flag=True)
@JSON
def update(
    id: str,
    config: Path,
    name: str | None,
    team: str | None,
    no_team: bool,
    removed: tuple[str, ...],
    expires: float | None,
    never_expires: bool,
    as_json: bool,
    **limits: Any,
) -> None:
    """Change a live key at once: its name, team, limits or expiry. The rest stays."""
    from gateway.auth.limits import KeyChange
    from gateway.config import settings

    check_models(limits["models"], settings.load(config).models)
    change: dict[str, Any] = {"limits": given(limits, removed)}
    change |= {"name": name} if name is not None else {}
    change |= {"team": team} if team is not None or no_team else {}
    change |= {"expires_in_s": expires} if expires is not None or never_expires else {}
    if (team is not None and no_team) or (expires is not None and never_expires):
        raise ConfigError(["--no-team and --never-expires cannot be combined with --team and --expires"])
    store = store_of(config)
    _say(store.describe(store.update(id, KeyChange.read(change))), as_json)
    say_where(store)


@keys.command("list")
@CONFIG
@JSON
def list_keys(config: Path, as_json: bool) -> None:
    """List all keys and their usage."""
    store = store_of(config)
    described = [store.describe(key) for key in store.all()]
    if as_json:
        say_json({"object": "list", "data": described})
        return
    rows = [_COLUMNS, *(_row(each) for each in described)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    # Long names are shortened here; `show` prints them in full.
    spare = COLUMNS - sum(widths) - 2 * (len(widths) - 1)
    widths[_NAME] = max(widths[_NAME] + min(spare, 0), len(_COLUMNS[_NAME]))
    rows = [(*row[:_NAME], _short(row[_NAME], widths[_NAME]), *row[_NAME + 1 :]) for row in rows]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@keys.command()
@ID
@CONFIG
@JSON
def show(id: str, config: Path, as_json: bool) -> None:
    """Show one key: its state, limits and usage."""
    store = store_of(config)
    _say(store.describe(store.get(id)), as_json)


@keys.command()
@ID
@CONFIG
@click.option("--overlap", type=Duration(), default="24h", show_default=True, help="How long old secrets still work.")
@JSON
def rotate(id: str, config: Path, overlap: float, as_json: bool) -> None:
    """Give a key a new secret and print it; it is not shown again."""
    store = store_of(config)
    key, secret = store.rotate(id, overlap)
    _say_secret(store.describe(key), secret, as_json)
    say_where(store)


@keys.command()
@ID
@CONFIG
@JSON
def revoke(id: str, config: Path, as_json: bool) -> None:
    """Revoke a key immediately and permanently."""
    store = store_of(config)
    _say(store.describe(store.revoke(id)), as_json)
    say_where(store)


@keys.command("audit")
@CONFIG
@JSON
def audit_log(config: Path, as_json: bool) -> None:
    """List operators' actions, by command or admin port, the latest first."""
    actions = store_of(config).audit()
    if as_json:
        say_json({"object": "list", "data": actions})
        return
    for each in actions:
        click.echo(f"{_moment(each['time'])}  {each['action']:<14}  {each['key'] or '-':<16}  {each['who']}")


def store_of(config: Path) -> Keys:
    from gateway import assembly
    from gateway.auth import audit
    from gateway.config import settings

    return assembly.keys(settings.load(config).access).of(audit.by_command())


def say_where(store: Keys) -> None:
    stored("Stored", store.path)


def _say_secret(described: dict[str, Any], secret: str, as_json: bool) -> None:
    if as_json:
        say_json({**described, "secret": secret})
        return
    _say(described, False)
    click.echo(f"secret: {secret}")
    click.echo("Only its hash is stored: it cannot be shown again.", err=True)


def _say(described: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(described)
        return
    for name in ("id", "name", "state"):
        click.echo(f"{name}: {described[name]}")
    for name in ("created", "expires", "revoked"):
        click.echo(f"{name}: {_moment(described[name])}")
    click.echo(f"secrets that work: {described['secrets']}")
    click.echo(f"team: {described['team'] or 'none'}")
    say("limits: " + (", ".join(written(name, value) for name, value in described["limits"].items()) or "none"))
    say_usage(described["usage"])


def say_usage(usage: dict[str, Any]) -> None:
    for window, used in usage.items():
        if isinstance(used, dict):
            say(f"used, {window}: " + ", ".join(f"{name} {value}" for name, value in used.items()))


def _row(described: dict[str, Any]) -> tuple[str, ...]:
    used = described["usage"]["all"]
    return (
        described["id"],
        described["name"],
        described["state"],
        _moment(described["expires"])[:_DAY],
        str(used["requests"]),
        str(used["thinking_tokens"]),
        f"{used['dollars']:.4f}",
    )


def _short(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 1]}…"


def _moment(seconds: float | None) -> str:
    """In UTC, to the minute."""
    return "never" if seconds is None else time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(seconds))

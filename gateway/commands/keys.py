"""`thinkgate keys`: create, list, show, rotate and revoke API keys. Running gateways apply changes at once."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands.lines import COLUMNS, say, say_json, stored
from gateway.commands.options import CONFIG, JSON
from gateway.core.errors import ConfigError, GatewayError, suggestion

if TYPE_CHECKING:
    from gateway.auth.keys import Keys

_DAY = len("2026-01-01")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NAME = 1
_COLUMNS = ("id", "name", "state", "expires", "requests", "thinking", "dollars")


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds out of `90s`, `30m`, `24h` or `7d`."""
        if isinstance(value, float):
            return value
        shape = re.fullmatch(r"(\d{1,9})([smhd]?)", value)
        if shape is None or (not shape[2] and shape[1] != "0"):
            self.fail(f"{value!r} is not a duration: use 90s, 30m, 24h or 7d", param, ctx)
        return float(int(shape[1]) * _UNITS.get(shape[2], 0))


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
@click.option("--model", "models", multiple=True, help="A model that the key may use; repeatable. Default: all.")
@click.option("--ceiling", metavar="EFFORT|TOKENS", help="The strongest effort: a level or a budget.")
@click.option("--requests-per-minute", type=int)
@click.option("--tokens-per-minute", type=int)
@click.option("--thinking-per-hour", type=int, help="Thinking tokens.")
@click.option("--thinking-per-day", type=int, help="Thinking tokens.")
@click.option("--dollars-per-day", type=float)
@click.option("--dollars-per-month", type=float)
@click.option("--max-parallel-requests", type=int, help="Parallel requests; overrides [access].")
@click.option("--max-bytes-in-flight", type=int, help="Total size of parallel bodies; overrides [access].")
@click.option("--expires", type=_Duration(), metavar="DURATION", help="From now: 90s, 30m, 24h, 7d. Default: never.")
@JSON
def create(
    name: str,
    config: Path,
    models: tuple[str, ...],
    ceiling: str | None,
    expires: float | None,
    as_json: bool,
    **limits: Any,
) -> None:
    """Create a key and print its secret, which is not shown again."""
    from gateway.auth.limits import NewKey
    from gateway.config import settings

    known = settings.load(config).models
    unknown = [model for model in models if model not in known]
    if unknown:
        raise ConfigError([f"--model: {each!r} is not among [models].{suggestion(each, known)}" for each in unknown])
    given: dict[str, Any] = {
        "models": list(models) or None,
        "ceiling": int(ceiling) if ceiling is not None and ceiling.isdecimal() else ceiling,
        **limits,
    }
    store = _store(config)
    key, secret = store.create(NewKey.read({"name": name, "expires_in_s": expires, "limits": given}))
    _say_secret(store.describe(key), secret, as_json)
    _say_where(store)


@keys.command("list")
@CONFIG
@JSON
def list_keys(config: Path, as_json: bool) -> None:
    """List all keys and their usage."""
    store = _store(config)
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
    store = _store(config)
    _say(store.describe(store.get(id)), as_json)


@keys.command()
@ID
@CONFIG
@click.option("--overlap", type=_Duration(), default="24h", show_default=True, help="How long old secrets still work.")
@JSON
def rotate(id: str, config: Path, overlap: float, as_json: bool) -> None:
    """Give a key a new secret and print it; it is not shown again."""
    store = _store(config)
    key, secret = store.rotate(id, overlap)
    _say_secret(store.describe(key), secret, as_json)
    _say_where(store)


@keys.command()
@ID
@CONFIG
@JSON
def revoke(id: str, config: Path, as_json: bool) -> None:
    """Revoke a key immediately and permanently."""
    store = _store(config)
    _say(store.describe(store.revoke(id)), as_json)
    _say_where(store)


@keys.command("audit")
@CONFIG
@JSON
def audit_log(config: Path, as_json: bool) -> None:
    """List operators' actions, by command or admin port, the latest first."""
    actions = _store(config).audit()
    if as_json:
        say_json({"object": "list", "data": actions})
        return
    for each in actions:
        click.echo(f"{_moment(each['time'])}  {each['action']:<14}  {each['key'] or '-':<16}  {each['who']}")


def _store(config: Path) -> Keys:
    from gateway import assembly
    from gateway.auth import audit
    from gateway.config import settings

    return assembly.keys(settings.load(config).access).of(audit.by_command())


def _say_where(store: Keys) -> None:
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
    say("limits: " + (", ".join(f"{name} {value}" for name, value in described["limits"].items()) or "none"))
    for window, used in described["usage"].items():
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

"""`thinkgate records`: erases stored data of keys and users, also while gateways are running."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from gateway.commands.options import CONFIG, JSON
from gateway.core.errors import ConfigError, GatewayError


@click.group()
def records() -> None:
    """Manage the records of requests and stored responses."""


@records.command()
@CONFIG
@click.option("--key", metavar="ID", help="All data of this API key; with --user, only that user's.")
@click.option("--user", metavar="NAME", help="All data of an end user, as named in requests.")
@click.option("--anonymise", is_flag=True, help="Keep the records, without owner. Responses are deleted in any case.")
@JSON
def erase(config: Path, key: str | None, user: str | None, anonymise: bool, as_json: bool) -> None:
    """Erase the data of a key or a user: records, and responses with the conversations they are in."""
    from gateway import assembly
    from gateway.api import data
    from gateway.auth import audit
    from gateway.config import settings
    from gateway.storage.subject import Subject

    if not key and not user:
        raise ConfigError(["whose data is to be erased? Give --key ID, --user NAME, or both"])
    chosen = settings.load(config)
    archive = assembly.archive(chosen)
    try:
        gone = data.erase(archive, chosen.responses_path, Subject(key, user), anonymise)
    except GatewayError as error:
        raise ConfigError([error.message]) from error
    if chosen.access.path.exists():
        assembly.keys(chosen.access).of(audit.by_command()).note("data.erase", key)
    if as_json:
        click.echo(json.dumps({**asdict(gone), "anonymised": anonymise}))
        return
    click.echo(f"{gone.records} records {'were anonymised' if anonymise else 'removed'} ({archive})")
    click.echo(f"{gone.responses} responses removed ({chosen.responses_path})")

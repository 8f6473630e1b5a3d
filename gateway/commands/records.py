"""`thinkgate records`: erases and exports stored data, also while gateways are running."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from gateway.commands.moment import SINCE, UNTIL, check_span
from gateway.commands.options import CONFIG, FORCE, JSON, NEW_FILE
from gateway.core.errors import ConfigError, GatewayError
from router_model import extras


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


@records.command()
@CONFIG
@click.option("--out", type=NEW_FILE, required=True, help="The Parquet file to write.")
@SINCE
@UNTIL
@click.option("--key", metavar="ID", help="Only requests of this API key.")
@click.option("--model", metavar="NAME", help="Only requests for this public model.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, the oldest first.")
@FORCE
def export(config: Path, out: Path, since: float, until: float, force: bool, **only: Any) -> None:
    """Write records with their outcomes to a Parquet file."""
    extras.need("learn")
    from gateway import assembly
    from gateway.commands import records_table
    from gateway.config import settings
    from gateway.core.record_query import RecordQuery
    from router_model.data import output_files

    if out.exists() and not force:
        raise ConfigError([f"--out: {out} exists: choose another file, or replace it with --force"])
    chosen = settings.load(config)
    check_span(since, until)
    output_files.can_put(out)
    part = out.with_name(f".{out.name}.part")
    try:
        count = records_table.write(assembly.archive(chosen).rated(RecordQuery(since, until, **only)), part)
        part.replace(out)
    except GatewayError as error:
        raise ConfigError([error.message]) from error
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{count} records written to {out}")

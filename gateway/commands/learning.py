"""`thinkgate learn`: judges the version that is being tried, and makes a new one from what was recorded since."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands import report_files
from gateway.commands.lines import say
from gateway.commands.options import CONFIG, NEW_FILE
from gateway.core.errors import ConfigError, GatewayError, suggestion
from router_model import extras

if TYPE_CHECKING:
    from gateway.commands.learning_model import LearningModel
    from gateway.config.settings import Settings

Json = dict[str, Any]


@click.command()
@CONFIG
@click.option("--model", "name", help="Only this model; all that decide by a learned router otherwise.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@click.option("--json", "json_file", type=NEW_FILE, help="Write all figures as JSON.")
def learn(config: Path, name: str | None, dry_run: bool, json_file: Path | None) -> None:
    """Learn from recorded traffic: let it run now and then, once a day, say.

    It judges the version that is being tried by what was recorded since, and lets it serve, or retires it; then it
    makes a new version from all outcomes of requests whose features were kept (`features` or `shadow` in [learn]).
    A gateway that runs takes the change up within seconds.
    """
    extras.need("learn")
    from gateway.config import settings
    from gateway.storage.router_versions import RouterVersions

    chosen = settings.load(config)
    if not chosen.learn.keeps_features:
        raise ConfigError(["learn: records keep no features to learn from: set `features = true` in [learn]"])
    told = {}
    for model in _models(chosen, name):
        try:
            told[model.name] = model.step(RouterVersions(chosen.versions_path), time.time(), dry_run)
        except GatewayError as error:
            raise ConfigError([error.message]) from error
    for line in lines(told, dry_run):
        say(line)
    report_files.put(told, json_file, None, lambda found: "", "")


def _models(chosen: Settings, name: str | None) -> Iterator[LearningModel]:
    """ConfigError: there is no such model, or none that learns."""
    from gateway.commands.learning_model import learning_models

    if name is not None and name not in chosen.models:
        raise ConfigError([f"--model: {name!r} is not among [models].{suggestion(name, chosen.models)}"])
    found = [one for one in learning_models(chosen) if name in (None, one.name)]
    if not found:
        raise ConfigError(["no model decides by a learned router: set `router` to one, and a policy with a dial"])
    yield from found


def lines(told: Json, dry_run: bool) -> Iterator[str]:
    for name, found in told.items():
        yield f"model {name}: {found['serving']} serves."
        for one in found["sources"]:
            agrees = "" if one["agreement"] is None else f", agrees with better ones in {one['agreement']:.0%}"
            yield f"  {one['outcomes']} outcomes of {one['source']}, weight {one['weight']:.2f}{agrees}"
        for why, count in found["left_out"].items():
            yield f"  Left out: {count} records, as {why}."
        for sign, what in found["drift"].items():
            yield f"  DRIFT of {sign}: {what}"
        for line in found["notes"]:
            yield f"  {line}"
        for one in found["evidence"]:
            yield f"  {evidence_line(one)}"
    if dry_run:
        yield "Nothing was changed: this was a dry run."


def evidence_line(one: Json) -> str:
    if one["estimate"] is None or not math.isfinite(one["low"]):
        return f"{one['method']}: {one['units']} units, too few to tell."
    bounds = f"[{one['low']:+.4f}, {one['high']:+.4f}]"
    return f"{one['method']}: worth {one['estimate']:+.4f} {bounds} a request, of {one['units']} units."

"""`thinkgate experiment`: what experiments there are, and what each of them has shown so far."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands import report_files
from gateway.commands.lines import say
from gateway.commands.moment import SINCE
from gateway.commands.options import NEW_FILE
from gateway.core.errors import ConfigError, GatewayError, suggestion

if TYPE_CHECKING:
    from gateway.config.settings import Settings
    from gateway.routing.experiments.experiment import Experiment
    from gateway.routing.experiments.running import Experiments

CONFIG = click.option("--config", type=click.Path(path_type=Path), required=True, help="The gateway's TOML file.")


@click.group()
def experiment() -> None:
    """Experiments: several arms that share the units of a model."""


@experiment.command("list")
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_experiments(config: Path, as_json: bool) -> None:
    """List experiments with their arms and the shares that these have now."""
    from gateway.assembly.served_versions import with_versions
    from gateway.config import settings
    from gateway.routing.experiments.description import described

    found = _of(with_versions(settings.load(config)))
    if as_json:
        click.echo(json.dumps([described(one, found.state(one)) for one in found]))
        return
    for one in found:
        told = described(one, found.state(one))
        say(f"{one.name}: {'runs' if told['running'] else 'is stopped'}, on model {told['model']}")
        for arm in told["arms"]:
            marks = [word for word, yes in (("default", arm["default"]), ("stopped", arm["stopped"])) if yes]
            say(f"  {arm['share']:>6.1%}  {arm['name']}{' (' + ', '.join(marks) + ')' if marks else ''}")
    if not [*found]:
        say("There are no experiments: [experiments.NAME] makes one.")


@experiment.command()
@click.argument("name")
@CONFIG
@SINCE
@click.option("--json", "json_file", type=NEW_FILE, help="Write all figures as JSON.")
@click.option("--html", "html_file", type=NEW_FILE, help="Write a page with plots.")
def report(name: str, config: Path, since: float, json_file: Path | None, html_file: Path | None) -> None:
    """Compare the arms of experiment NAME by all that is recorded: the verdict first, then every metric."""
    from gateway import assembly
    from gateway.assembly.served_versions import with_versions
    from gateway.config import settings
    from gateway.routing.experiments.evidence import LOOKS, evidence
    from router_model.experiments.page import page

    chosen = with_versions(settings.load(config))
    experiments = _of(chosen)
    tried = _named(name, experiments)
    try:
        rows = assembly.archive(chosen).of_experiment(name, since)
        found = evidence(tried, experiments.journal.events(), rows).report(name, LOOKS if html_file else 0)
    except GatewayError as error:
        raise ConfigError([error.message]) from error
    for line in lines(found):
        say(line)
    report_files.put(found, json_file, html_file, page, "plots")


def _of(chosen: Settings) -> Experiments:
    from gateway import assembly

    return assembly.idle_experiments(chosen)


def _named(name: str, experiments: Experiments) -> Experiment:
    known = {one.name: one for one in experiments}
    if name not in known:
        raise ConfigError([f"there is no experiment {name!r}.{suggestion(name, known)}"])
    return known[name]


def lines(found: dict[str, Any]) -> Iterator[str]:
    """A report for people, in 80 columns."""
    yield from found["verdicts"]
    for breach in found["guardrails"]:
        yield f"Guardrail: {breach['arm']} is worse in {breach['metric']} by more than {breach['margin']:g}."
    if found["stop"]["reached"]:
        yield f"Enough has been seen: the primary metric is {_REASONS[found['stop']['reason']]}."
    yield ""
    for arm in found["arms"]:
        yield f"{arm['name']}: {arm['units']} units, {arm['requests']} requests"
    means = {arm["name"]: arm["metrics"] for arm in found["arms"]}
    for name in dict.fromkeys(one["arm"] for one in found["differences"]):
        yield ""
        those = [one for one in found["differences"] if one["arm"] == name]
        against = those[0]["against"]
        yield f"{name[:24]} against {against[:24]}"
        if "pairs" in those[0]:
            yield f"{those[0]['pairs']['units']} pairs, {those[0]['apart']['units']} units without one"
        yield f"{'':<16}{against[:11]:>12}{name[:11]:>12}{'difference':>12}  {'interval':<16}"
        for one in those:
            ours, theirs = (_number(means[arm][one["metric"]]["mean"]) for arm in (name, against))
            yield (
                f"{one['metric']:<16}{theirs:>12}{ours:>12}{_number(one['estimate'], '+'):>12}  "
                f"{_interval(one['ci']):<16} {one['verdict']}"
            )
    yield ""
    if (explained := found["differences"][0].get("variance_removed")) is not None:
        yield f"Forecasts take {explained:.0%} out of the variance of {found['differences'][0]['metric']}."
    yield f"Units fell into the arms as the weights say with p = {found['srm_p']:.3g}."
    if found["requests_switched"]:
        yield f"{found['requests_switched']} requests of units that changed their arm do not count."


_REASONS = {"decided": "decided for every arm", "width": "known as closely as was asked"}


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.4g}"


def _interval(ci: list[float] | None) -> str:
    return "too few units" if ci is None else f"[{ci[0]:+.2g}, {ci[1]:+.2g}]"

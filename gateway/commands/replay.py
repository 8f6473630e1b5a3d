"""`thinkgate replay`: what other policies would have brought on the traffic that is recorded."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from gateway.commands import report_files
from gateway.commands.lines import say
from gateway.commands.moment import SINCE
from gateway.commands.options import CONFIG, NEW_FILE
from gateway.config.problems import faults
from gateway.core.efforts import words
from gateway.core.errors import ConfigError, GatewayError, suggestion

if TYPE_CHECKING:
    from gateway.commands.logged_decisions import LoggedDecisions
    from gateway.config.settings import Settings
    from gateway.core.call import Call
    from gateway.core.forecast import Forecast
    from gateway.routing.catalogue import PublicModel
    from gateway.routing.policies.protocol import Policy
    from router_model.offpolicy.target import Target

Json = dict[str, Any]
DIALS = tuple(step / 10 for step in range(1, 10))
METRICS = ("outcome", "total_tokens", "latency_s")
_BY_PROBES: Json = {
    "estimate": None,
    "ci": None,
    "ess": 0.0,
    "n": 0,
    "method": "dr",
    "refused": "a policy that asks for no probe cannot be estimated from a log in which probes were asked for",
}


@click.command()
@CONFIG
@click.option("--records", type=click.Path(path_type=Path), help="Another SQLite database than the configuration's.")
@click.option("--model", "name", help="Whose traffic; needed where several models decide by forecasts.")
@click.option(
    "--dial", "positions", type=click.FloatRange(0, 1), multiple=True, help="Repeat it. 0.1 to 0.9 otherwise."
)
@click.option(
    "--policy", "files", type=click.Path(path_type=Path), multiple=True, help="A TOML file with a table `policy`."
)
@SINCE
@click.option("--json", "json_file", type=NEW_FILE, help="Write all figures as JSON.")
@click.option("--html", "html_file", type=NEW_FILE, help="Write a page with the frontier.")
def replay(
    config: Path,
    records: Path | None,
    name: str | None,
    positions: tuple[float, ...],
    files: tuple[Path, ...],
    since: float,
    json_file: Path | None,
    html_file: Path | None,
) -> None:
    """Estimate what other policies would have brought, from recorded decisions and their outcomes.

    Only decisions that were explored (`explore` in the policy) tell of other policies. What the log says too little of
    is refused, with the reason.
    """
    from gateway.assembly.served_versions import with_versions
    from gateway.config import settings
    from router_model.offpolicy.page import page

    chosen = with_versions(settings.override(settings.load(config), records=records))
    found = replayed(chosen, name, since, positions or (() if files else DIALS), files)
    for line in lines(found):
        say(line)
    report_files.put(found, json_file, html_file, page, "the frontier")


def replayed(
    chosen: Settings, name: str | None, since: float, positions: tuple[float, ...], files: tuple[Path, ...]
) -> Json:
    """The estimates of dials and of the policies in files, on the records of the configured gateway.

    ConfigError: there is no such model, nothing to replay, or a file without a policy.
    """
    from gateway.assembly import archive
    from gateway.assembly.decider import idle_decider
    from gateway.commands import logged_decisions

    model = _model(chosen, name, list(idle_decider(chosen).catalogue))
    if any(math.isnan(position) for position in positions):
        raise ConfigError(["--dial: nan is no position from 0 to 1"])
    for file in files:
        _read_policy(model, file)
    try:
        decisions = logged_decisions.read(model, archive(chosen).decisions(model.name, since))
    except GatewayError as error:
        raise ConfigError([error.message]) from error
    if not len(decisions.logged):
        raise ConfigError([f"no recorded decision of model {model.name} can be replayed{_left_out(decisions)}"])
    return estimated(model, decisions, positions, files)


def estimated(
    model: PublicModel, decisions: LoggedDecisions, positions: tuple[float, ...], files: tuple[Path, ...]
) -> Json:
    """The report of `router_model.offpolicy.replay`, with the model and what was left out."""
    from router_model.offpolicy.replay import replay as estimate

    targets = {f"dial-{position:g}": _dial(model, decisions, position) for position in positions}
    refused: list[Json] = []
    for file in files:
        target = _policy(model, decisions, file)
        if target is None:
            refused += [{"name": file.stem, "metric": metric, **_BY_PROBES} for metric in METRICS]
        else:
            targets[file.stem] = target
    found = estimate(decisions.logged, targets, METRICS)
    found["policies"] += refused
    return {"model": model.name, "decisions": len(decisions.logged), "left_out": dict(decisions.left_out)} | found


def _model(chosen: Settings, name: str | None, models: list[PublicModel]) -> PublicModel:
    """ConfigError: there is none of this name, or none or several that decide by forecasts."""
    deciding = {model.name: model for model in models if chosen.models[model.name].policy.needs_router}
    if name is None and len(deciding) == 1:
        return next(iter(deciding.values()))
    if name is None:
        which = f"name one of {', '.join(deciding)} with --model" if deciding else "no model decides by forecasts"
        raise ConfigError([f"there is no single model to replay: {which}"])
    if name not in deciding:
        raise ConfigError([f"--model: {name!r} is no model that decides by forecasts.{suggestion(name, deciding)}"])
    return deciding[name]


def _dial(model: PublicModel, decisions: LoggedDecisions, position: float) -> Target:
    """The served rule at this dial, without exploration."""
    prices = {}
    for arm in set(decisions.arms):
        variant, forecast = _forecast(model, arm)
        prices[arm] = forecast.price_at(position, variant.policy.probe_use)
    return _priced(decisions, prices)


def _priced(decisions: LoggedDecisions, own: Mapping[str, float]) -> Target:
    """The policy that asks these token prices, by arm; what other setters added to the price stays."""
    import numpy as np

    from router_model.offpolicy.log_columns import Prices
    from router_model.offpolicy.target import PricedTarget

    token = np.array([own[arm] for arm in decisions.arms]) + decisions.others
    return PricedTarget(Prices.of(len(decisions.logged), token, decisions.logged.prices.second))


def _forecast(model: PublicModel, arm: str) -> tuple[PublicModel, Forecast]:
    """An arm as the model has it, and a forecast of any request: it knows what a dial costs there."""
    variant = model.with_arm(next(one for one in model.arms if one.name == arm))
    forecast = variant.prepared[arm].forecast(_request(model))
    if forecast is None:
        raise ConfigError([f"the router of model {model.name} knows nothing of arm {arm}"])
    return variant, replace(forecast, is_ood=False)


def _request(model: PublicModel) -> Call:
    from gateway.core.call import Call

    return Call("replay", "chat", model.name, {"messages": [{"role": "user", "content": "?"}]})


def _policy(model: PublicModel, decisions: LoggedDecisions, file: Path) -> Target | None:
    """The policy of a file; None: the log says nothing of it. ConfigError: there is no policy in it, or one of other
    efforts or bounds.
    """
    import numpy as np

    from router_model.offpolicy.target import DistributionTarget

    policy = _read_policy(model, file)
    at = {effort: place for place, effort in enumerate(decisions.efforts)}
    prices, chances = {}, np.zeros((len(decisions.logged), len(at)))
    for arm in set(decisions.arms):
        variant, forecast = _forecast(model, arm)
        if policy.contract is not None:
            bounded = [
                effort for effort in next(one for one in model.arms if one.name == arm).efforts if policy.allows(effort)
            ]
            forecast = replace(forecast, promised=variant.prepared[arm].guarantee(policy.contract, bounded))
        decision = policy.decide(_request(model), forecast if policy.wants_forecast(_request(model)) else None)
        if decision.reason in ("router", "probe"):
            _same_bounds(file, policy, variant.policy, decisions)
            prices[arm] = decision.prices.token
        elif decision.effort in at:
            chances[[one == arm for one in decisions.arms], at[decision.effort]] = 1.0
        else:
            raise ConfigError([f"{file}: the log has no forecast for effort {words(decision.effort)}"])
    if prices and len(prices) < len(set(decisions.arms)):
        raise ConfigError([f"{file}: it buys at a price in some arms only; replay them one by one"])
    if prices:
        return _priced(decisions, prices)
    return None if decisions.logged.probes.asked.any() else DistributionTarget(chances)


def _same_bounds(file: Path, policy: Policy, served: Policy, decisions: LoggedDecisions) -> None:
    """ConfigError: the policy allows other efforts than the served one."""
    differ = [words(effort) for effort in decisions.efforts if policy.allows(effort) != served.allows(effort)]
    if differ:
        raise ConfigError([f"{file}: its floor or ceiling is not the served policy's: {', '.join(differ)}"])


def _read_policy(model: PublicModel, file: Path) -> Policy:
    from gateway.assembly.model import resolver
    from gateway.config.model import ModelSettings

    try:
        table = tomllib.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigError([f"{file}: {error}"]) from error
    if table.keys() != {"policy"}:
        raise ConfigError([f"{file}: it holds one table, `policy`, and nothing else"])
    try:
        settings = ModelSettings.model_validate({"deployment": "any", "router": "any", **table})
    except ValidationError as error:
        raise ConfigError([f"{file}: {fault}" for fault in faults(error, ModelSettings)]) from error
    return settings.policy.policy(resolver(model.levels))


def _left_out(decisions: LoggedDecisions) -> str:
    given = ", ".join(f"{why}: {count}" for why, count in decisions.left_out.items())
    return f" (left out: {given})" if given else ": none is recorded"


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """For people, in 80 columns."""
    own = found["on_policy"]
    if own["mean"] is None:
        yield f"{found['decisions']} decisions of model {found['model']}; no outcome of them is known."
    else:
        yield (
            f"{found['decisions']} decisions of model {found['model']}, {own['n']} with an outcome: "
            f"{_figure(own['mean'], own['ci'])} under the policy that was served."
        )
    for why, count in found["left_out"].items():
        yield f"Left out: {count} requests, as {why}."
    yield ""
    yield f"{'policy':<16}{'outcome':>22}{'total tokens':>24}{'ESS':>8}{'of n':>8}"
    by_name: dict[str, dict[str, Json]] = {}
    for one in found["policies"]:
        by_name.setdefault(one["name"], {})[one["metric"]] = one
    for name, metrics in by_name.items():
        outcome, tokens = metrics["outcome"], metrics["total_tokens"]
        yield (f"{name[:15]:<16}{_estimate(outcome):>22}{_estimate(tokens):>24}{outcome['ess']:>8.0f}{outcome['n']:>8}")
    for name, metrics in by_name.items():
        if metrics["outcome"]["refused"]:
            yield f"{name}: refused, as {metrics['outcome']['refused']}."


def _estimate(one: Json) -> str:
    return "refused" if one["refused"] else _figure(one["estimate"], one["ci"])


def _figure(mean: float, bounds: list[float] | None) -> str:
    return f"{mean:.3g}" if bounds is None else f"{mean:.3g} [{bounds[0]:.3g}, {bounds[1]:.3g}]"

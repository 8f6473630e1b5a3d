"""`thinkgate explain`: the decision for a request, without a gateway that runs and without a model call."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gateway.commands.lines import say
from gateway.core.errors import ConfigError

Json = dict[str, Any]
UNITS = {"token": "a token", "second": "a second of waiting", "reread": "a prompt token read again"}


@click.command()
@click.argument("request")
@click.option("--config", type=click.Path(path_type=Path), required=True, help="The gateway's TOML file.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def explain(request: str, config: Path, as_json: bool) -> None:
    """Explain the decision for REQUEST: a JSON file with the body of a chat completion, or the id of a request that was
    answered (x-thinkgate-id, x-request-id, or the answer's own), out of the records.

    For a file, prices that follow traffic are those of a gateway that has just started; POST /v1/decide has those of a
    running one.
    """
    from gateway.assembly.served_versions import with_versions
    from gateway.config import settings
    from gateway.core.errors import GatewayError

    chosen, path = with_versions(settings.load(config)), Path(request)
    try:
        if path.suffix == ".json" or path.exists():
            explained = asyncio.run(_explained(chosen, _read(path)))
        else:
            explained = _recorded(chosen, request)
    except GatewayError as error:
        raise ConfigError([f"{request}: {error.message}"]) from error
    if as_json:
        click.echo(json.dumps(explained, indent=2))
        return
    for line in lines(explained):
        say(line)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from error


def _recorded(chosen: Any, id: str) -> Json:
    """ConfigError: there is no such request, or nothing was decided for it."""
    from gateway import assembly
    from gateway.assembly.decider import idle_decider
    from gateway.routing.recorded_decision import explain_record

    archive = assembly.archive(chosen)
    record = archive.record(id)
    if record is None:
        raise ConfigError([f"{id}: no request of this id is among the records ({archive}), and no file has this name"])
    if record.decided is None:
        raise ConfigError([f"{id}: no effort was decided for this request (status {record.status})"])
    models = idle_decider(chosen).catalogue
    if record.model is None or record.model not in models:
        return explain_record(record)  # it has left the configuration since
    return explain_record(record, models.find(record.model).level_of)


async def _explained(chosen: Any, raw: bytes) -> Json:
    from gateway.api import json_object
    from gateway.api.chat.request import ChatDialect
    from gateway.api.dialect import ParsedRequest
    from gateway.api.reading import read_call
    from gateway.assembly.decider import idle_decider
    from gateway.auth.principal import ANONYMOUS
    from gateway.routing import explanation

    server = chosen.server
    body = json_object.read(raw, server.max_depth, server.max_values)
    other = next((name for name in ("input", "system") if name in body), None)
    if other is not None:
        raise ConfigError([f"`{other}` is of another dialect: send it to POST /v1/decide, or write a chat completion"])
    decider = idle_decider(chosen)
    dialect = ChatDialect(decider.catalogue, server.max_messages)
    parsed = ParsedRequest(body, len(raw), {}, "explain", ANONYMOUS)
    call = await read_call(parsed, dialect.read, decider.catalogue, server)
    return (await explanation.explain(decider, ANONYMOUS, call)).as_json()


def lines(explained: Json) -> Iterator[str]:
    """For people."""
    decision = explained["decision"]
    recorded = "id" in explained
    first = "a probe without thinking first" if decision["probe"] and not recorded else f"effort {_named(decision)}"
    yield f"{explained['model']}: {first}, by {decision['reason']}, at {decision['deployment']}."
    yield f"Arm {explained['arm']}, router {explained['router']}, propensity {decision['propensity']:.4g}."
    if "id" in explained:
        used = "an unknown number of" if decision["used"] is None else decision["used"]
        yield f"Request {explained['id']}: applied {decision['applied']}, used {used} thinking tokens."
    for note in decision["notes"]:
        yield f"Note: {note}."
    yield ""
    yield from _efforts(explained["efforts"])
    yield from _prices(explained["prices"])
    yield from _alternatives(explained["alternatives"])


def _named(one: Json) -> str:
    return one["effort"] if one["effort"] == one["level"] else f"{one['effort']} ({one['level']})"


def _efforts(efforts: list[Json]) -> Iterator[str]:
    if not efforts:
        yield "There is no forecast."
        return
    rereads = any(one["reread_tokens"] for one in efforts)
    more = f"  {'read again':>10}" if rereads else ""
    yield f"{'effort':>9}  {'P(correct)':>10}  {'thinking':>8}  {'answer':>7}  {'seconds':>8}{more}  {'worth':>8}"
    for one in efforts:
        more = f"  {one['reread_tokens']:>10.0f}" if rereads else ""
        yield (
            f"{one['effort']:>9}  {one['p_correct']:>10.3f}  {one['thinking_tokens']:>8.0f}  "
            f"{one['answer_tokens']:>7.0f}  {one['seconds']:>8.2f}{more}  {one['worth']:>8.3f}"
        )


def _prices(prices: Json) -> Iterator[str]:
    yield ""
    yield "Prices, in P(correct):"
    for setter, parts in prices["setters"].items():
        for name, unit in UNITS.items():
            if parts[name]:
                yield f"  {setter}: {parts[name]:.4g} {unit}"
    if not any(any(parts.values()) for parts in prices["setters"].values()):
        yield "  none: everything is free"


def _alternatives(alternatives: list[Json]) -> Iterator[str]:
    if alternatives:
        yield ""
        yield "Otherwise it would have been:"
    for one in alternatives:
        what = "a probe first" if one["probe"] else _named(one)
        needed = [
            f"{setter} {_unit(name)} {' or '.join(map(_interval, intervals))}"
            for setter, parts in one["setters"].items()
            for name, intervals in parts.items()
            if intervals
        ]
        yield f"  {what}: {'; '.join(needed) if needed else 'at no price of these setters'}"


def _unit(name: str) -> str:
    return "at" if name == "dial" else f"{name} price"


def _interval(ends: list[float | None]) -> str:
    low, high = ends[0] or 0.0, math.inf if ends[1] is None else ends[1]
    return f"from {low:.4g}" if math.isinf(high) else f"{low:.4g} to {high:.4g}"

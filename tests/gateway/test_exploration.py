"""Exploration in the price: exact propensities of whole paths, off unless it is asked for, told where it mattered."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import NormalDist, mean, stdev
from typing import Any, NamedTuple

import orjson
import pytest

from gateway import assembly
from gateway.api.chat.request import read_call
from gateway.api.dialect import ParsedRequest
from gateway.auth.principal import ANONYMOUS
from gateway.backends.latency import latency_models_of
from gateway.config.settings import parse
from gateway.core.call import Call
from gateway.core.draw import normal
from gateway.core.efforts import words
from gateway.core.forecast import Forecast, ProbePath
from gateway.core.prices import EXPLORE, FREE
from gateway.core.probe import Probe
from gateway.routing.catalogue import Catalogue, PublicModel
from gateway.routing.policies.worth import worth
from tests.gateway.conftest import Start
from tests.gateway.scripted import ScriptedBackend
from tests.gateway.test_decisions_stay import COMMON, DIAL, SETTINGS, request

ROUTED = ("dial", "waits", "prior", "constant", "contract")


class Seen(NamedTuple):
    """A request before and after its probe."""

    model: PublicModel
    call: Call
    forecast: Forecast
    probe: Probe


def exploring(explore: float, loss: float = 1.0) -> Catalogue:
    models = {
        name: {**model, "policy": {**model["policy"], "explore": explore, "explore_loss": loss}}
        for name, model in SETTINGS["models"].items()
        if name in ROUTED
    }
    settings = parse({**SETTINGS, "models": models})
    deployments = assembly.deployments(settings)
    return assembly.catalogue(settings, deployments, latency_models_of(deployments.values()))


async def requests(catalogue: Catalogue, number: int) -> list[Seen]:
    rng, found = Random(5), list[Seen]()
    while len(found) < number:
        body = request(rng)
        if body["model"] not in ROUTED:
            continue
        call = read_call(ParsedRequest(body, len(orjson.dumps(body)), {}, "r", ANONYMOUS), catalogue, 100)
        model = catalogue.find(call.model)
        forecast = await model.forecast(call, model.arms[0], 9.0)
        probe = Probe([-rng.expovariate(4) for _ in range(rng.randint(1, 40))], rng.random() * 8)
        if forecast is not None and call.requested is None:
            found.append(Seen(model, call, forecast, probe))
    return found


def taken(seen: Seen, z: float) -> tuple[str, float, str]:
    """The path that the real decision code takes at a draw, its propensity, and the reason."""
    model, call, forecast, probe = seen
    prices = replace(FREE, z=z)
    first = model.policy.decide(call, forecast, prices)
    if first.probe_options is None:
        return f"direct {words(first.effort)}", first.propensity, first.reason
    path = ProbePath(first.factors, first.reason == "explore")
    after = model.reconsider(call, model.arms[0], forecast, probe, path)
    last = model.policy.decide(call, after, prices)
    return f"probe {words(last.effort)}", last.propensity, last.reason


@pytest.mark.parametrize(
    ("number", "draws", "loss"),
    [(24, 150, 1.0), (24, 150, 0.1), *(pytest.param(60, 400, loss, marks=pytest.mark.long) for loss in (1.0, 0.1))],
)
async def test_propensities_are_the_frequencies_of_the_real_decisions(number: int, draws: int, loss: float) -> None:
    """Draws that are spread evenly over the distribution: their frequencies are exact to a few times 1 / draws."""
    normals = NormalDist()
    zs = [normals.inv_cdf((place + 0.5) / draws) for place in range(draws)]
    worst, random, models = 0.0, 0, Counter[str]()
    for seen in await requests(exploring(1.0, loss), number):
        paths = [taken(seen, z) for z in zs]
        found = Counter(path for path, _, _ in paths)
        plain = taken(seen, 0.0)[0]
        for path, propensity, reason in paths:
            worst = max(worst, abs(propensity - found[path] / draws))
            assert (reason == EXPLORE) == (path != plain)
        random += len(found) > 1
        models[seen.model.name] += len(found) > 1
    assert worst <= 0.01 and random >= number / (3 if loss == 1 else 12) and len(models) >= 4, (worst, random, models)


async def test_nothing_is_chosen_that_loses_more_than_is_allowed() -> None:
    least = 0.02
    for seen in await requests(exploring(2.0, least), 60):
        best, *drawn = (
            seen.model.policy.decide(seen.call, seen.forecast, replace(FREE, z=z)) for z in (0, -3, -1.5, 3)
        )
        worths = {one.effort: worth(one, replace(best.prices, z=0.0)) for one in seen.forecast.efforts}
        for one in drawn:
            if one.probe_options is None and best.probe_options is None:
                assert worths[one.effort] >= worths[best.effort] - least - 1e-9


async def test_without_exploration_every_propensity_is_one_and_no_draw_changes_anything() -> None:
    for seen in await requests(exploring(0.0), 60):
        still = {taken(seen, z) for z in (-3.0, 0.0, 3.0)}
        assert len(still) == 1 and next(iter(still))[1] == 1.0


def test_draws_are_standard_normal_and_can_be_repeated() -> None:
    drawn = [normal(f"unit request-{number}") for number in range(4000)]
    assert abs(mean(drawn)) < 0.05 and abs(stdev(drawn) - 1) < 0.04
    assert drawn[:5] == [normal(f"unit request-{number}") for number in range(5)]
    assert normal("another request-1") != drawn[1]


def table(url: str, **policy: Any) -> dict[str, Any]:
    return {
        "deployments": {"merged": {"url": url, "model": "tiny", "family": "qwen3", "verify": False}},
        "models": {"pub": {"deployment": "merged", "router": "tiny", "policy": {**DIAL, **policy}, **COMMON}},
    }


def test_records_and_headers_say_what_exploration_did(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(table(backend.url, explore=2.0, explore_loss=1.0, probe="never"))
    text = "Running total: 12 + 9 + 5 + 31 + 44 + 8 + 27 + 63 + 19"
    body = {"model": "pub", "messages": [{"role": "user", "content": text}]}
    reasons = [gateway.post(body).headers["x-thinkgate-reason"] for _ in range(30)]
    assert {*reasons} == {"explore", "router"}
    rows = gateway.records()
    assert [row["reason"] for row in rows] == reasons
    chosen: dict[str, set[float]] = {}
    for row in rows:
        chosen.setdefault(row["decided"], set()).add(round(row["propensity"], 9))
    assert all(len(of_one) == 1 for of_one in chosen.values()), "a path has one propensity"
    assert sum(next(iter(of_one)) for of_one in chosen.values()) <= 1 + 1e-6
    prices = Counter(row["price_token"] for row in rows)
    assert len(prices) > 5 and 3 <= max(prices.values()) < 30, "some draw prices of their own, the others keep it"


@pytest.mark.parametrize("explore", [-0.1, 4.0])
def test_a_spread_is_within_reason(tmp_path: Path, explore: float) -> None:
    with pytest.raises(Exception, match=r"models\.pub\.policy\.explore"):
        parse(table("http://127.0.0.1:9/v1", explore=explore))

"""Price setters through the front door: configured, added up, recorded, explained, and refused where they cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.app import changed_parts, make_parts
from gateway.commands.check import explain
from gateway.config.settings import parse
from gateway.core.errors import ConfigError
from gateway.routing.prices.pace import PaceSettings
from gateway.routing.prices.registry import SETTERS, register
from tests.gateway.conftest import Start
from tests.gateway.scripted import ScriptedBackend
from tests.gateway.test_decide import TEXTS, body
from tests.gateway.test_exploration import table

PACE = {"kind": "pace", "thinking_tokens": 10_000, "every": "day"}
ALL = [PACE, {"kind": "slo", "latency_p95_s": 2.0}, {"kind": "load"}, {**PACE, "name": "each key's", "of": "key"}]


def priced(url: str, *prices: dict[str, Any], **policy: Any) -> dict[str, Any]:
    given = table(url, **{"probe": "never", **policy})
    given["deployments"]["merged"]["max_in_flight"] = 8
    given["models"]["pub"]["prices"] = [*prices]
    return given


def test_prices_add_up_in_the_record_and_in_the_explanation(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(priced(backend.url, *ALL))
    shown = gateway.post(body("pub", TEXTS[0]), "/v1/decide").json()
    assert [*shown["prices"]["setters"]] == ["dial", "pace", "slo", "load", "each key's"]
    parts = shown["prices"]["setters"].values()
    assert shown["prices"]["token"] == pytest.approx(sum(part["token"] for part in parts))
    for one in shown["alternatives"]:
        for low, high in one["setters"].get("pace", {}).get("token", []):
            assert low >= 0 and (high is None or high > low)
    assert gateway.post(body("pub", TEXTS[0])).status_code == 200
    (row,) = gateway.records()
    recorded = json.loads(row["prices"])
    assert recorded["pace"]["token"] > 0 and recorded["dial"]["token"] > 0 and recorded["slo"] == {}
    assert row["price_token"] == pytest.approx(sum(part.get("token", 0) for part in recorded.values()))


def test_what_a_pace_has_spent_ends_thinking(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(priced(backend.url, {**PACE, "thinking_tokens": 300}, dial=0.95))
    chosen = [gateway.post(body("pub", TEXTS[0])).headers["x-thinkgate-budget"] for _ in range(12)]
    assert chosen[0] != "0" and chosen[-1] == "0", chosen


def test_check_says_each_price_with_its_unit(tmp_path: Path) -> None:
    lines = "\n".join(explain(parse(priced("http://127.0.0.1:9/v1", *ALL))))
    for said in (
        "Price pace (pace): 10000 thinking tokens per day for the model, as a price in P(correct) per token.",
        "Price slo (slo): 95 % of answers within 2 s until their end, as a price of waiting in P(correct) per second.",
        "Price load (load): from 80% of the places on, a token costs what it makes those wait who wait, at 0.1",
        "Price each key's (pace): 10000 thinking tokens per day for each API key",
    ):
        assert said in lines


@pytest.mark.parametrize(
    ("prices", "policy", "fault"),
    [
        ([{"kind": "pase"}], {}, "models.pub.prices[0].kind: 'pase' is unknown. Did you mean 'pace'?"),
        ([{"kind": "pace"}], {}, "set either `thinking_tokens` or `dollars`"),
        ([{**PACE, "thinking_tokens": -5}], {}, "models.pub.prices[0].thinking_tokens"),
        ([{"kind": "slo"}], {}, "set one of `first_token_p95_s`, `first_answer_p95_s`, `latency_p95_s`"),
        ([PACE, PACE], {}, "models.pub.prices: 2 setters are called 'pace': give each a `name`"),
        (
            [{**PACE, "thinking_tokens": 20}],
            {"floor": 32},
            "models.pub.prices.pace.thinking_tokens: 20 are fewer",
        ),
        ([{"kind": "pace", "dollars": 1.0}], {}, "no deployment of this model has a price"),
        ([PACE, {**PACE, "name": "again"}], {}, "2 budgets are of thinking tokens per day of the model: keep one"),
        ([], {"floor": 64, "ceiling": 32}, "models.pub.policy: the floor (64) is above the ceiling (32)"),
        ([PACE], {"kind": "client"}, "models.pub.prices: a client policy buys at no price"),
    ],
)
def test_what_cannot_be_is_refused_at_start_up(
    prices: list[dict[str, Any]], policy: dict[str, Any], fault: str
) -> None:
    given = priced("http://127.0.0.1:9/v1", *prices)
    given["models"]["pub"]["policy"] |= policy
    if policy.get("kind") == "client":
        given["models"]["pub"] |= {"policy": policy, "router": "none"}
    with pytest.raises(ConfigError) as caught:
        [*explain(parse(given))]
    assert any(fault in line for line in caught.value.faults), caught.value.faults


def test_load_needs_a_limit_on_the_requests_at_once_or_an_engine_that_says_how_busy_it_is() -> None:
    given = priced("http://127.0.0.1:9/v1", {"kind": "load"})
    del given["deployments"]["merged"]["max_in_flight"]
    assert "engines are asked every 1 s" in "\n".join(explain(parse(given)))
    given["models"]["pub"]["prices"][0]["engine_metrics"] = False
    with pytest.raises(ConfigError, match=r"models\.pub\.prices\.load\.kind: a deployment .* no max_in_flight"):
        [*explain(parse(given))]


def test_a_reload_keeps_what_setters_have_learned(tmp_path: Path) -> None:
    settings = parse({**priced("http://127.0.0.1:9/v1", *ALL), "records": {"path": tmp_path / "r.db"}})
    parts = make_parts(settings)
    other = settings.model_copy(update={"server": settings.server.model_copy(update={"drain_s": 7.0})})
    after = changed_parts(other, parts)
    before, now = (one.catalogue.find("pub").setters for one in (parts, after))
    assert [old is new for old, new in zip(before, now, strict=True)] == [True, True, False, True]
    assert parts.live.spending is not None and after.live.spending is parts.live.spending
    parts.live.spending.close()
    for each in (parts.authenticator, after.authenticator):
        each.close()


def test_a_kind_is_registered_once() -> None:
    class Other(PaceSettings):
        pass

    with pytest.raises(ValueError, match="a price setter 'pace' is registered already"):
        register(Other)
    assert [*SETTERS] == ["pace", "slo", "load", "sticky"]

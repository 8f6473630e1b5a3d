"""The risk contract: a price read off the router's own trial, the full thought where nothing can be promised."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.app import make_parts
from gateway.commands.check import explain
from gateway.config.settings import parse
from gateway.core.contract import Contract, Guarantee
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort
from gateway.core.errors import ConfigError
from gateway.core.forecast import Forecast
from gateway.routing.policies.bounds import EffortBounds
from gateway.routing.policies.priced import PricedPolicy
from gateway.routing.policies.risk_contract import RiskContract
from router_model.model import predict
from tests.gateway import artifacts
from tests.gateway.conftest import Start
from tests.gateway.probing import Pays
from tests.gateway.scripted import ScriptedBackend
from tests.gateway.test_policies import HIGH, LOW, call, forecast

CONTRACT = Contract(0.01, 0.95)
POLICY = RiskContract(PricedPolicy(EffortBounds(ceiling=UNLIMITED, default=UNLIMITED)), CONTRACT)
EASY = "Assign a category out of account, billing, shipping, technical.\nText: Hello, my parcel is late. Regards, Ursa"
HARD = "Running total: 12 + 9 + 5 + 31 + 44 + 8 + 27 + 63 + 19"
STRANGE = "Wherefore doth yon melancholy troubadour eschew merriment beneath crimson battlements nightly?"


def under(promised: Guarantee | None, **fields: Any) -> Forecast:
    seen = replace(forecast(), promised=promised)
    return replace(seen, **fields)


def table(url: str, **policies: dict[str, Any]) -> dict[str, Any]:
    """A model for each policy, under a contract, on the tiny deployment."""
    budgets = [8, 16, 32, 64, 128, 256]
    deployment = {"url": url, "model": "tiny", "family": "qwen3", "verify": False}
    return {
        "deployments": {"dep": deployment, "other": {**deployment, "router_name": "nobody-knows"}},
        "models": {
            name: {
                "deployment": policy.pop("deployment", "dep"),
                "router": policy.pop("router", "tiny"),
                "policy": {
                    "kind": "contract",
                    "budgets": budgets,
                    "probe": "never",
                    "if_impossible": "full_effort",
                    **policy,
                },
            }
            for name, policy in policies.items()
        },
    }


def test_the_price_is_that_of_the_promise_with_a_probe_or_without_one() -> None:
    promised = Guarantee(with_probe=0.002, without_probe=0.0002)
    assert POLICY.decide(call(), under(promised)).prices.token == 0.0002
    asked = POLICY.decide(call(), under(promised, probe_value=Pays(False)))
    assert asked.prices.token == 0.002 and asked.reason == "router"
    probed = POLICY.decide(call(), under(promised, probed=True))
    assert probed.prices.token == 0.002 and probed.reason == "probe"
    # 0.8 for 30 tokens or 0.9 for 200: the dearer token buys the shorter thought.
    assert (asked.effort, POLICY.decide(call(), under(promised)).effort) == (LOW, HIGH)


@pytest.mark.parametrize(
    "promised", [None, Guarantee(None, None, why="too few"), Guarantee(with_probe=0.1, without_probe=None)]
)
def test_where_nothing_is_promised_everybody_thinks_fully(promised: Guarantee | None) -> None:
    decision = POLICY.decide(call(), under(promised))
    assert (decision.effort, decision.reason) == (UNLIMITED, "policy")
    assert POLICY.decide(call(), None).effort == UNLIMITED
    assert POLICY.decide(call(LOW), under(promised)).effort == LOW
    assert POLICY.decide(call(ceiling=HIGH), under(promised)).effort == HIGH


def test_strange_requests_are_outside_of_the_promise_and_think_fully() -> None:
    promised = Guarantee(with_probe=0.1, without_probe=0.1)
    decision = POLICY.decide(call(), under(promised, is_ood=True, probe_value=Pays(True)))
    assert (decision.effort, decision.reason, decision.probe_options) == (UNLIMITED, "fallback", None)
    assert POLICY.decide(call(), under(promised)).effort == NO_THINKING


def test_served_requests_are_decided_at_the_price_of_the_artifact_s_own_trial(
    backend: ScriptedBackend, start: Start
) -> None:
    gateway = start(table(backend.url, kept={"max_regret": 0.02}, strict={"max_regret": 0.0005}))
    own = predict.load("tiny").restricted({"tiny"})
    order = sorted(range(len(own.heads)), key=lambda i: (own.heads[i].think, own.heads[i].budget or 10**9))
    price = own.promised(0.02, 0.95, None, False, "never", order).price
    assert price is not None and price > 0

    def efforts(model: str) -> list[tuple[str, str]]:
        answers = [
            gateway.post({"model": model, "messages": [{"role": "user", "content": text}]})
            for text in (EASY, HARD, STRANGE)
        ]
        return [(a.headers["x-thinkgate-effort"], a.headers["x-thinkgate-reason"]) for a in answers]

    easy, hard, strange = efforts("kept")
    assert easy == ("none", "router") and strange == ("max", "fallback")
    assert hard[0] != "none" and hard[1] == "router"
    assert efforts("strict") == [("max", "policy")] * 3
    cards = {card["id"]: card for card in gateway.get("/v1/models").json()["data"]}
    (kept,) = cards["kept"]["contract"]["promises"]
    assert kept["kept"] and kept["price"] == price and kept["prompts"] == 2000 and kept["harm_bound"] <= 0.02
    (strict,) = cards["strict"]["contract"]["promises"]
    assert not strict["kept"] and strict["price"] is None and "no price keeps it" in strict["why"]


REFUSED = {
    "too strict": ({"max_regret": 0.0001}, "no price keeps it on the 2000 prompts of tiny-"),
    "an effort without outcomes": ({"ceiling": 4096}, "has seen no outcomes of 4096"),
    "a model without outcomes": ({"deployment": "other"}, "has seen no outcomes of unlimited"),
    "a router without outcomes": ({"router": "constant"}, "the router 'constant' was trained on no outcomes"),
}


@pytest.mark.parametrize(("policy", "why"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_promised_is_said_at_start_and_by_check(
    policy: dict[str, Any], why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = parse({**table("http://127.0.0.1:9", pub={**policy}), "records": {"path": tmp_path / "r.db"}})
    said = "\n".join(explain(chosen))
    assert "NO GUARANTEE for arm merged: " in said and why in said
    with caplog.at_level(logging.ERROR):
        make_parts(chosen).authenticator.close()
    assert "model pub: no guarantee for arm merged, every request gets full effort" in caplog.text
    assert why in caplog.text
    strict = table("http://127.0.0.1:9", pub={**policy, "if_impossible": "refuse"})
    with pytest.raises(ConfigError) as caught:
        make_parts(parse({**strict, "records": {"path": tmp_path / "strict.db"}}))
    (fault,) = caught.value.faults
    assert fault.startswith("models.pub.policy: no price keeps the contract in arm merged: ") and why in fault


def test_check_says_what_is_promised(tmp_path: Path) -> None:
    chosen = parse(table("http://127.0.0.1:9", pub={"max_regret": 0.02, "horizon": 1000, "probe": "auto"}))
    said = "\n".join(explain(chosen))
    assert "at most 2.00% of requests are harmed on the next 1000 requests, at 95% confidence" in said
    assert "of P(correct) a token with a probe" in said and "On 2000 prompts" in said and "tokens were saved" in said


def test_a_new_artifact_brings_its_own_price(backend: ScriptedBackend, tmp_path: Path) -> None:
    """The policy is made anew with its router, and efforts without outcomes are not on offer."""
    artifacts.good(tmp_path / "router", 400)
    chosen = table(backend.url, pub={"router": str(tmp_path / "router"), "max_regret": 0.02, "budgets": [16, 100]})
    model = make_parts(parse({**chosen, "records": {"path": tmp_path / "r.db"}})).catalogue.find("pub")
    assert model.arms[0].efforts == (NO_THINKING, Effort(True, 16), UNLIMITED)
    assert model.promises["merged"].kept


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        ({"max_regret": 0}, "models.pub.policy.max_regret: input should be greater than 0"),
        ({"confidence": 1}, "models.pub.policy.confidence: input should be less than 1"),
        ({"horizon": 0}, "models.pub.policy.horizon: input should be greater than or equal to 1"),
        ({"counts": "net", "horizon": 5}, "models.pub.policy: a guarantee on a horizon covers harm alone"),
        ({"max_regrets": 0.1}, "models.pub.policy.max_regrets: unknown key. Did you mean 'max_regret'?"),
    ],
)
def test_contracts_that_cannot_be_are_refused(policy: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(table("http://127.0.0.1:9", pub=policy))
    assert fault in "\n".join(caught.value.faults)

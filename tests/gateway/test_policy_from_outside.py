"""A policy that the gateway does not ship: its settings, its decisions and what is said of it, all from this file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from gateway.commands.check import explain
from gateway.config.settings import parse
from gateway.core.call import Call
from gateway.core.decision import Alternative, Decision
from gateway.core.efforts import NO_THINKING, Effort
from gateway.core.errors import ConfigError
from gateway.core.forecast import Forecast
from gateway.core.prices import FREE, Prices
from gateway.core.probe import ProbeUse
from gateway.core.strict import EffortName
from gateway.routing.policies.protocol import NameOf, Policy, PolicyDescription, PolicySettings, Resolve
from gateway.routing.policies.registry import POLICIES, register
from tests.gateway.conftest import Start
from tests.gateway.scripted import ScriptedBackend
from tests.gateway.test_policies import keeps_the_contract


@dataclass(frozen=True)
class LengthPolicy:
    """Long requests are thought about, short ones are not."""

    effort: Effort
    longest: int
    has_dial: ClassVar[bool] = False
    probe_use: ClassVar[ProbeUse] = "never"
    contract: ClassVar[None] = None
    explore: ClassVar[float] = 0.0

    @property
    def offers(self) -> frozenset[Effort]:
        return frozenset({NO_THINKING, self.effort})

    def allows(self, effort: Effort) -> bool:
        return effort in self.offers

    def wants_forecast(self, call: Call) -> bool:
        return False

    def decide(self, call: Call, forecast: Forecast | None, prices: Prices = FREE) -> Decision:
        return Decision(NO_THINKING if call.size <= self.longest else self.effort, "policy", 1.0, prices)

    def alternatives(self, call: Call, decision: Decision) -> list[Alternative]:
        return []

    def describe(self, name: NameOf) -> PolicyDescription:
        card = {"by_length": {"longest": self.longest, "effort": name(self.effort)}}
        return PolicyDescription(f"requests of more than {self.longest} bytes get {name(self.effort)}.", card)


class LengthSettings(PolicySettings):
    kind: Literal["by_length"]
    effort: EffortName
    longest: Annotated[int, Field(ge=0)] = 1000

    def policy(self, resolve: Resolve) -> Policy:
        return LengthPolicy(resolve(self.effort), self.longest)


@pytest.fixture
def registered() -> Iterator[None]:
    register(LengthSettings)
    yield
    del POLICIES["by_length"]


def table(url: str = "http://127.0.0.1:9", **policy: object) -> dict[str, object]:
    return {
        "deployments": {"dep": {"url": url, "model": "tiny", "family": "qwen3", "verify": False}},
        "models": {"pub": {"deployment": "dep", "policy": {"kind": "by_length", "effort": "high", **policy}}},
    }


@pytest.mark.usefixtures("registered")
def test_it_decides_what_is_served_and_shows_on_the_model_s_card(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(table(backend.url, longest=500))
    efforts = [
        gateway.post({"model": "pub", "messages": [{"role": "user", "content": text}]}).headers["x-thinkgate-effort"]
        for text in ("short", "long " * 200)
    ]
    assert efforts == ["none", "high"]
    (card,) = gateway.get("/v1/models").json()["data"]
    assert card["by_length"] == {"longest": 500, "effort": "high"}


@pytest.mark.usefixtures("registered")
def test_check_says_it_in_its_own_words_and_its_settings_are_strict(tmp_path: Path) -> None:
    said = "\n".join(explain(parse({**table(), "records": {"path": tmp_path / "r.db"}})))
    assert "Policy by_length: requests of more than 1000 bytes get high." in said and "Probes:" not in said
    for policy, fault in (
        ({"longst": 1}, "models.pub.policy.longst: unknown key. Did you mean 'longest'?"),
        (
            {"longest": "1"},
            "models.pub.policy.longest: input should be a valid integer; it is text: leave the quotes out",
        ),
        ({"kind": "by_lenth"}, "models.pub.policy.kind: 'by_lenth' is unknown. Did you mean 'by_length'?"),
    ):
        with pytest.raises(ConfigError) as caught:
            parse(table(**policy))
        assert caught.value.faults == [fault]
    with pytest.raises(ConfigError, match="'hgh' is not an effort"):
        list(explain(parse(table(effort="hgh"))))


def test_it_keeps_the_contract_of_all_policies() -> None:
    keeps_the_contract(LengthPolicy(Effort(True, 64), 10))


def test_a_kind_is_registered_once_and_unknown_before() -> None:
    class Other(LengthSettings):
        kind: Literal["fixed"]  # type: ignore[assignment]

    with pytest.raises(ValueError, match="a policy 'fixed' is registered already"):
        register(Other)
    with pytest.raises(ValueError, match="needs a field `kind"):
        register(type("Kindless", (PolicySettings,), {}))
    with pytest.raises(ConfigError, match="'by_length' is unknown"):
        parse(json.loads(json.dumps(table())))

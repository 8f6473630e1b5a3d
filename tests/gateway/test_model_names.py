"""An effort in the model's name, in every dialect; sampling by mode; classes of work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.commands.check import explain
from gateway.config.settings import parse
from gateway.core.errors import ConfigError
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend
from tests.gateway.test_decide import TEXTS, body
from tests.gateway.test_exploration import table

SAMPLING = {"think": {"temperature": 0.6, "top_p": 0.95, "top_k": 20}, "none": {"temperature": 0.7, "min_p": 0.0}}
CLASSES = {
    "nightly": {"metadata": {"workload": "nightly"}, "dial": 1.0},
    "chat": {"price_of_waiting": 0.5},
}


def settings(url: str) -> dict[str, Any]:
    given = table(url, probe="never")
    model = given["models"]["pub"]
    model |= {"sampling": SAMPLING, "classes": CLASSES}
    given["models"]["pub:8b"] = {
        **model,
        "policy": {"kind": "fixed", "effort": "none"},
        "router": "none",
        "classes": {},
    }
    return given


@pytest.fixture(scope="module")
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(backend: ScriptedBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with RunningGateway(settings(backend.url), tmp_path_factory.mktemp("names")) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "budget"),
    [
        ("pub:high", "128"),
        ("pub:none", "0"),
        ("pub:40", "40"),
        ("pub:unlimited", None),
        ("pub:max", None),
    ],
)
def test_an_effort_in_the_name_works_in_every_dialect(gateway: RunningGateway, name: str, budget: str | None) -> None:
    message = {**body(name, "hi"), "max_tokens": 100_000}
    for path, asked in (
        ("/v1/chat/completions", body(name, "hi")),
        ("/v1/messages", message),
        ("/v1/responses", {"model": name, "input": "hi", "store": False}),
    ):
        answer = gateway.post(asked, path)
        assert answer.status_code == 200, answer.text
        given = answer.headers["x-thinkgate-budget"]
        assert given == budget or (budget is None and (given == "unlimited" or int(given) > 90_000)), path
        assert answer.headers["x-thinkgate-reason"] == "client"
    counted = gateway.post({"model": name, "messages": message["messages"]}, "/v1/messages/count_tokens")
    assert counted.status_code == 200 and counted.json()["input_tokens"] > 0
    assert gateway.post(body(name, "hi"), "/v1/decide").json()["decision"]["reason"] == "client"


def test_a_name_with_a_colon_and_auto_are_what_they_say(gateway: RunningGateway) -> None:
    assert gateway.post(body("pub:8b", "hi")).headers["x-thinkgate-reason"] == "policy"
    assert gateway.post(body("pub:8b:none", "hi")).status_code == 200
    assert gateway.post(body("pub:auto", TEXTS[0])).headers["x-thinkgate-reason"] == "router"
    assert [card["id"] for card in gateway.get("/v1/models").json()["data"]] == ["pub", "pub:8b"]


@pytest.mark.parametrize(
    ("name", "fields", "status", "said"),
    [
        (
            "pub:lots",
            {},
            400,
            "'pub' has no effort 'lots': use one of none, minimal, low, medium, high",
        ),
        ("pub:", {}, 400, "'pub' has no effort ''"),
        ("pub:-1", {}, 400, "'pub' has no effort '-1'"),
        ("pub:99999999999999999999", {}, 400, "has no effort"),
        ("pob:high", {}, 404, "The model 'pob:high' does not exist."),
        ("pub:high", {"reasoning_effort": "low"}, 400, "model 'pub:high' contradicts reasoning_effort 'low'."),
    ],
)
def test_what_is_no_effort_is_refused_with_those_that_are(
    gateway: RunningGateway, name: str, fields: dict[str, Any], status: int, said: str
) -> None:
    answer = gateway.post({**body(name, "hi"), **fields})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, "model") and said in error["message"], error
    wrong = gateway.post({**body(name, "hi"), "max_tokens": 5}, "/v1/messages")
    assert wrong.status_code in (200, status) and (fields or wrong.json()["type"] == "error")


def test_a_raw_prompt_has_no_effort(gateway: RunningGateway) -> None:
    answer = gateway.post({"model": "pub:high", "prompt": "hi"}, "/v1/completions")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


def test_sampling_suits_the_mode_unless_the_client_says_else(backend: ScriptedBackend, gateway: RunningGateway) -> None:
    for asked, sent in (
        (body("pub:high", "hi"), {"temperature": 0.6, "top_p": 0.95, "top_k": 20}),
        (body("pub:none", "hi"), {"temperature": 0.7, "min_p": 0.0}),
        (body("pub:high", "hi", temperature=0, top_p=0.5), {"temperature": 0, "top_p": 0.5, "top_k": 20}),
    ):
        assert gateway.post(asked).status_code == 200
        names = ("temperature", "top_p", "top_k", "min_p", "presence_penalty")
        assert {name: backend.last[name] for name in names if name in backend.last} == sent


def test_a_class_has_its_own_prices(gateway: RunningGateway) -> None:
    usual = gateway.post(body("pub", TEXTS[0]), "/v1/decide").json()["prices"]
    by_metadata = body("pub", TEXTS[0], metadata={"workload": "nightly", "more": "1"})
    assert gateway.post(by_metadata, "/v1/decide").json()["prices"]["token"] == 0.0 < usual["token"]
    named = gateway.post(by_metadata, "/v1/decide", headers={"x-thinkgate-class": "chat"}).json()["prices"]
    assert named["setters"]["chat"]["second"] == named["second"] == 0.5 and named["token"] == usual["token"]
    dialled = gateway.post({**by_metadata, "thinkgate": {"dial": 0.65}}, "/v1/decide").json()["prices"]
    assert dialled["token"] == usual["token"], "a client's own dial comes first"
    refused = gateway.post(body("pub", "hi"), headers={"x-thinkgate-class": "chatt"})
    assert refused.status_code == 400 and refused.json()["error"]["code"] == "unknown_class"
    assert "nightly, chat" in refused.json()["error"]["message"]
    two = [("x-thinkgate-class", "chat"), ("x-thinkgate-class", "nightly")]
    assert gateway.post(body("pub", "hi"), headers=two).json()["error"]["code"] == "unknown_class"
    answered = gateway.post(body("pub", TEXTS[0]), headers={"x-thinkgate-class": "chat"})
    assert answered.status_code == 200


def test_check_shows_sampling_and_classes(tmp_path: Path) -> None:
    lines = "\n".join(explain(parse({**settings("http://127.0.0.1:9/v1"), "records": {"path": tmp_path / "r.db"}})))
    for said in (
        "Class nightly: dial 1.0.",
        "Class chat: a second of waiting costs 0.5 of P(correct) more.",
        "Answers with thinking are sampled with temperature = 0.6, top_p = 0.95, top_k = 20, where the client",
    ):
        assert said in lines


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"sampling": {"think": {"temperature": 3}}}, "models.pub.sampling.think.temperature"),
        ({"sampling": {"thnk": {}}}, "models.pub.sampling.thnk: unknown key. Did you mean 'think'?"),
        ({"classes": {"idle": {}}}, "models.pub.classes.idle: it changes nothing"),
        ({"router": "none", "policy": {"kind": "client"}}, "class nightly sets a dial, and a client policy has none"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], fault: str) -> None:
    given = json.loads(json.dumps(settings("http://127.0.0.1:9/v1")))
    given["models"]["pub"] |= changes
    with pytest.raises(ConfigError) as caught:
        parse(given)
    assert any(fault in line for line in caught.value.faults), caught.value.faults

"""`POST /v1/decide` and `thinkgate explain`: the decision without a model call, and what would have changed it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import main
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend
from tests.gateway.test_exploration import table

DECIDE = "/v1/decide"
TEXTS = (
    "Running total: 12 + 9 + 5 + 31 + 44 + 8 + 27 + 63 + 19",
    "Assign a category out of account, billing.\nText: my parcel is late",
    "hi",
)


@pytest.fixture(scope="module")
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(backend: ScriptedBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedGateway]:
    given = table(backend.url, price_of_waiting=0.001)
    model = given["models"]["pub"]
    given["models"] |= {
        "direct": {**model, "policy": {**model["policy"], "probe": "never", "price_of_waiting": 0.0}},
        "fixed": {**model, "router": "none", "policy": {"kind": "fixed", "effort": 64}},
    }
    with KeyedGateway(given, tmp_path_factory.mktemp("decide"), Clock()) as running:
        yield running


def body(model: str, text: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def decide(gateway: KeyedGateway, secret: str, asked: dict[str, Any]) -> dict[str, Any]:
    answer = gateway.post(asked, DECIDE, headers={"authorization": f"Bearer {secret}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_decision_follows_from_what_is_shown(gateway: KeyedGateway) -> None:
    secret, probes = gateway.key(), 0
    for model, text in [(model, text) for model in ("pub", "direct") for text in TEXTS]:
        shown = decide(gateway, secret, body(model, text))
        prices, efforts, chosen = shown["prices"], shown["efforts"], shown["decision"]
        for one in efforts:
            tokens = one["thinking_tokens"] + one["answer_tokens"]
            cost = prices["token"] * tokens + prices["second"] * one["seconds"]
            assert one["worth"] == pytest.approx(one["p_correct"] - cost)
        assert prices["token"] == prices["setters"]["dial"]["token"] > 0
        if chosen["reason"] == "fallback":
            assert (chosen["level"], shown["alternatives"]) == ("medium", []), "no price has a part in it"
            continue
        assert (chosen["propensity"], chosen["reason"]) == (1.0, "probe" if chosen["probe"] else "router")
        probes += chosen["probe"]
        offered = efforts[1:] if model == "pub" else efforts
        best = max(offered, key=lambda one: one["worth"])
        assert chosen["effort"] == ("none" if chosen["probe"] else best["effort"])
    assert 0 < probes < 3


def test_another_dial_within_the_interval_decides_as_the_alternative_says(gateway: KeyedGateway) -> None:
    secret, moved = gateway.key(), 0
    for model, text in [(model, text) for model in ("pub", "direct") for text in TEXTS]:
        shown = decide(gateway, secret, body(model, text))
        for one in shown["alternatives"]:
            for low, high in one["setters"].get("dial", {}).get("dial", []):
                if high - low < 1e-3:
                    continue
                dial = {"dial": (low + high) / 2}
                other = decide(gateway, secret, body(model, text, thinkgate=dial))["decision"]
                assert (other["effort"], other["probe"]) == (one["effort"], one["probe"]), (model, text, dial)
                moved += 1
    assert moved >= 5


def test_an_effort_that_is_named_is_explained_with_its_forecasts(gateway: KeyedGateway) -> None:
    secret = gateway.key()
    shown = decide(gateway, secret, body("pub", TEXTS[0], reasoning_effort="low"))
    assert (shown["decision"]["effort"], shown["decision"]["reason"]) == ("32", "client")
    assert len(shown["efforts"]) > 4 and shown["alternatives"] == []
    fixed = decide(gateway, secret, body("fixed", TEXTS[0]))
    assert (fixed["decision"]["effort"], fixed["decision"]["reason"]) == ("64", "policy")
    assert fixed["efforts"] == [] and fixed["prices"]["setters"] == {}


def test_no_model_is_called_nothing_is_recorded_and_no_quota_is_charged(
    backend: ScriptedBackend, gateway: KeyedGateway
) -> None:
    secret = gateway.key(requests_per_minute=1, thinking_per_day=2000)
    before = len(backend.requests)
    for _ in range(3):
        decide(gateway, secret, body("pub", TEXTS[0]))
    assert len(backend.requests) == before
    answer = gateway.post(body("pub", TEXTS[0]), headers={"authorization": f"Bearer {secret}"})
    assert answer.status_code == 200, answer.text


def test_it_is_decided_within_what_the_key_allows(gateway: KeyedGateway) -> None:
    shown = decide(gateway, gateway.key(ceiling=32), body("direct", TEXTS[0]))
    assert int(shown["decision"]["budget"]) <= 32


def test_errors_are_those_of_the_dialect(gateway: KeyedGateway) -> None:
    secret = gateway.key(models=["pub"])
    anthropic = {"anthropic-version": "2023-06-01"}
    message = body("pub", "hi", max_tokens=50)
    for asked, headers, status, code in (
        (message, anthropic, 200, None),
        ({"model": "pub", "input": "hi"}, {}, 200, None),
        ({"model": "direct", "input": "hi"}, {}, 403, "model_not_allowed"),
        (body("direct", "hi"), {}, 403, "model_not_allowed"),
        (body("pub", "hi", reasoning_effort="lots"), {}, 400, None),
        (b"{", {}, 400, None),
    ):
        answer = gateway.post(asked, DECIDE, headers={"authorization": f"Bearer {secret}", **headers})
        assert answer.status_code == status, answer.text
        if code is not None:
            assert answer.json()["error"]["code"] == code
    wrong = gateway.post({"max_tokens": 5}, DECIDE, headers={"authorization": f"Bearer {secret}", **anthropic})
    assert (wrong.status_code, wrong.json()["type"]) == (400, "error")
    assert gateway.post(message, DECIDE).status_code == 401
    assert gateway.get(DECIDE, headers={"authorization": f"Bearer {secret}"}).status_code == 405


CONFIG = """
[deployments.merged]
url = "http://127.0.0.1:9/v1"
model = "tiny"
family = "qwen3"
[models.pub]
deployment = "merged"
router = "tiny"
policy = { kind = "dial", dial = 0.65, budgets = [8, 16, 32, 64, 128, 256], default_effort = 64 }
"""


def test_the_command_says_the_same_without_a_gateway(tmp_path: Path) -> None:
    config, request = tmp_path / "thinkgate.toml", tmp_path / "request.json"
    config.write_text(CONFIG, "utf-8")
    request.write_text(json.dumps(body("pub", TEXTS[0])), "utf-8")
    shown = _said("explain", request, "--config", config, "--json")
    assert {path.name for path in tmp_path.iterdir()} == {"thinkgate.toml", "request.json"}, "it leaves nothing behind"
    with RunningGateway(tomllib.loads(CONFIG), tmp_path) as running:
        assert json.loads(shown) == running.post(body("pub", TEXTS[0]), DECIDE).json()
    text = _said("explain", request, "--config", config)
    assert text.startswith("pub: effort 256") and "dial: 0.004403 a token" in text and "Otherwise" in text
    request.write_text(json.dumps(body("pub:32", TEXTS[0])), "utf-8")
    named = json.loads(_said("explain", request, "--config", config, "--json"))
    assert (named["decision"]["effort"], named["decision"]["reason"]) == ("32", "client")
    for other in ({"model": "pub", "input": "hi"}, {**body("pub", "hi"), "system": "Be brief.", "max_tokens": 9}):
        request.write_text(json.dumps(other), "utf-8")
        failed = CliRunner().invoke(main, ["explain", str(request), "--config", str(config)])
        assert failed.exit_code == 1 and "is of another dialect" in failed.output
    request.write_text("{}", "utf-8")
    failed = CliRunner().invoke(main, ["explain", str(request), "--config", str(config)])
    assert failed.exit_code == 1 and "model is required" in failed.output
    missing = CliRunner().invoke(main, ["explain", str(tmp_path / "none.json"), "--config", str(config)])
    assert missing.exit_code == 1 and "No such file" in missing.output


def test_a_decision_is_explained_from_its_record(backend: ScriptedBackend, tmp_path: Path) -> None:
    config = tmp_path / "thinkgate.toml"
    records = f'[records]\npath = "{tmp_path / "records.db"}"\n'
    levels = "levels = { low = 8, high = 300 }\n"
    config.write_text(records + CONFIG.replace("http://127.0.0.1:9/v1", backend.url) + levels, "utf-8")
    with RunningGateway(tomllib.loads(config.read_text("utf-8")), tmp_path) as running:
        decided = running.post(body("pub", TEXTS[0]), DECIDE).json()
        answer = running.post(body("pub", TEXTS[0]), headers={"x-request-id": "mine"})
        assert answer.status_code == 200
        (row,) = running.records()
    for id in ("mine", row["id"]):
        told = json.loads(_said("explain", id, "--config", config, "--json"))
        assert told["id"] == row["id"] and told["decision"]["reason"] == decided["decision"]["reason"]
        assert told["decision"]["effort"] == decided["decision"]["effort"]
        assert [one["level"] for one in told["efforts"]] == [one["level"] for one in decided["efforts"]]
        assert told["decision"]["level"] == decided["decision"]["level"] == answer.headers["x-thinkgate-effort"]
        worths = [one["worth"] for one in decided["efforts"]]
        assert [one["worth"] for one in told["efforts"]] == pytest.approx(worths)
        assert told["prices"]["setters"]["dial"]["token"] == decided["prices"]["token"]
        assert len(told["alternatives"]) == len(told["efforts"]) - 1
    assert "used" in _said("explain", "mine", "--config", config)
    failed = CliRunner().invoke(main, ["explain", "nobodys", "--config", str(config)])
    assert failed.exit_code == 1 and "no request of this id" in failed.output


def _said(*arguments: str | Path) -> str:
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output

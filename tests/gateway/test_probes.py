"""Probes through the front door: a short answer first, which is the answer if it convinces and is never seen if not."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.commands.check import explain
from gateway.config.settings import parse
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort
from gateway.core.prices import Prices
from gateway.execution.streaming.logprobs import Logprobs
from gateway.families.table import family
from gateway.routing.policies.bounds import EffortBounds
from gateway.routing.policies.dial import DialPolicy
from gateway.routing.policies.priced import PricedPolicy
from gateway.routing.policies.worth import worth
from router_model.model.probe import Probe as Read
from tests.gateway.conftest import Start, table
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.leaks import held, settled
from tests.gateway.probing import SURE, UNSURE, USAGE, AskingRouter, Short, is_probe, piece, with_router
from tests.gateway.raw_client import asked
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, Connection, ScriptedBackend, obedient
from tests.gateway.test_quotas import used
from tests.patience import PATIENCE_S

MESSAGES: list[Any] = [{"role": "user", "content": "What is 2+2?"}]
ASK: dict[str, Any] = {"model": "merged", "messages": MESSAGES}
REJECTED = {**ANSWER["usage"]["completion_tokens_details"], "rejected_prediction_tokens": 3}


@pytest.fixture
def router() -> AskingRouter:
    return AskingRouter()


@pytest.fixture
def gateway(scripted_gateway: RunningGateway, router: AskingRouter) -> RunningGateway:
    return with_router(scripted_gateway, router)


def bodies(backend: ScriptedBackend) -> list[tuple[str, bool, bool]]:
    """Of each request: its model, whether it is a probe, and whether it thinks."""
    return [
        (body["model"], bool(body.get("logprobs")), "thinking_token_budget" in body)
        for body in (request.body for request in backend.requests)
    ]


def events(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_a_probe_that_convinces_is_the_answer(
    gateway: RunningGateway, backend: ScriptedBackend, router: AskingRouter
) -> None:
    backend.script = Short(SURE)
    answer = gateway.post({**ASK, "include": ["thinkgate"]})
    body = answer.json()
    assert body["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "five ok"},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert body["usage"] == USAGE and body["a_field_of_tomorrow"] == {"kept": True}
    assert (body["thinkgate"]["probe"], body["thinkgate"]["probe_tokens"]) == ("kept", 3)
    told = [answer.headers[f"x-thinkgate-{name}"] for name in ("reason", "effort", "budget")]
    assert told == ["probe", "none", "0"] and "x-thinkgate-note" not in answer.headers
    assert bodies(backend) == [("backend-model", True, False)]
    assert backend.last["top_logprobs"] == 2 and backend.last["messages"] == MESSAGES
    (probe,) = router.seen
    assert probe.logprobs == [SURE] * 3 and probe.first_margin == pytest.approx(1.5) and not probe.truncated
    (row,) = gateway.records()
    assert (row["reason"], row["decided"], row["applied"], row["used"]) == ("probe", "none", "none", 0)
    assert (row["probe"], row["probe_tokens"], row["probe_min"], row["probe_truncated"]) == ("kept", 3, SURE, 0)
    assert row["probe_mean"] == pytest.approx(SURE) and row["probe_first_margin"] == pytest.approx(1.5)
    assert row["probe_ms"] > 0 and (row["completion_tokens"], row["prompt_tokens"]) == (3, 7)
    assert json.loads(row["forecast_before"])[0] == ["none", 0.5, 0.0, 3.0, 0.1]
    assert json.loads(row["forecast"])[0][:4] == ["none", 0.95, 0.0, 0.0]


@pytest.mark.parametrize("model", ["merged", "split"])
@pytest.mark.parametrize("stream", [False, True])
def test_one_that_does_not_is_thrown_away_and_paid_for(
    gateway: RunningGateway, backend: ScriptedBackend, model: str, stream: bool
) -> None:
    backend.script = Short(UNSURE)
    ask = {**ASK, "model": model, "include": ["thinkgate"]}
    if stream:
        answer = gateway.post({**ask, "stream": True, "stream_options": {"include_usage": True}})
        parts = events(answer.text)
        assert "five" not in answer.text and "four" in answer.text
        usage, account = next(part["usage"] for part in parts if part.get("usage")), parts[-1]["thinkgate"]
    else:
        answer = gateway.post(ask)
        usage, account = answer.json()["usage"], answer.json()["thinkgate"]
        assert answer.json()["choices"] == ANSWER["choices"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (7, 12, 19)
    assert usage["completion_tokens_details"] == REJECTED
    assert (account["probe"], account["probe_tokens"], account["used"]) == ("thrown_away", 3, 5)
    assert (answer.headers["x-thinkgate-reason"], answer.headers["x-thinkgate-budget"]) == ("probe", "64")
    none, think = ("an-instruct-model", "a-thinking-model") if model == "split" else ("backend-model", "backend-model")
    assert bodies(backend) == [(none, True, False), (think, False, True)]
    probe, thought = backend.requests
    assert probe.body["messages"] == thought.body["messages"]
    assert thought.headers["x-request-id"] == f"{probe.headers['x-request-id']}-2", "engines want ids of their own"
    text = gateway.get("/metrics").text
    assert f'thinkgate_probes_total{{model="{model}",outcome="thrown_away"}} 1.0' in text
    assert f'thinkgate_tokens_total{{kind="probe",model="{model}"}} 3.0' in text
    assert all(gate.in_flight == 0 for gate in gateway.parts.dispatch.admission.values())
    (row,) = gateway.records()
    assert (row["probe"], row["reason"], row["decided"], row["used"], row["verdict"]) == (
        "thrown_away", "probe", "64", 5, "within"
    )  # fmt: skip
    assert (row["completion_tokens"], row["reasoning_tokens"], row["probe_tokens"]) == (9, 5, 3)


def test_a_stream_is_held_back_and_then_let_go(gateway: RunningGateway, backend: ScriptedBackend) -> None:
    backend.script = Short(SURE)
    answer = gateway.post({**ASK, "stream": True, "stream_options": {"include_usage": True}})
    parts = events(answer.text)
    assert answer.headers["x-thinkgate-effort"] == "none"
    choices = [choice for part in parts for choice in part["choices"]]
    assert [choice["delta"].get("content") for choice in choices] == ["", "five", " ok", None]
    assert all(choice["logprobs"] is None for choice in choices), "nobody asked for them"
    assert choices[-1]["finish_reason"] == "stop" and parts[-1]["usage"] == USAGE
    assert {part["model"] for part in parts} == {"merged"}
    (row,) = gateway.records()
    assert row["ttft"] >= row["probe_ms"] / 1000, "the client saw nothing before the decision"


def limited(start: Start, backend: ScriptedBackend, router: AskingRouter, **policy: Any) -> RunningGateway:
    """A gateway that decides by four tokens."""
    settings = table(backend.url)
    settings["models"]["merged"]["policy"] = settings["models"]["merged"]["policy"] | {"probe_tokens": 4} | policy
    return with_router(start(settings), router, "merged")


class Long:
    """A stream of which the first four tokens come at once, and the others when they are waited for."""

    def __init__(self, logprob: float) -> None:
        self.logprob = logprob
        self.go_on, self.hung_up = threading.Event(), threading.Event()

    async def __call__(self, connection: Connection) -> None:
        if not is_probe(connection):
            await obedient(connection)
            return
        try:
            await connection.begin_stream()
            for number in range(4):
                await connection.event(piece(f"word{number} ", self.logprob))
            if self.logprob == UNSURE:
                await connection.hung_up()
                return
        finally:
            if self.logprob == UNSURE:
                self.hung_up.set()  # perhaps before the last piece
        await asyncio.to_thread(self.go_on.wait, PATIENCE_S)
        await connection.event(piece("end", self.logprob, "stop"))
        await connection.event("[DONE]")
        await connection.end_stream()


def test_once_it_is_decided_the_rest_follows_live(start: Start, backend: ScriptedBackend, router: AskingRouter) -> None:
    backend.script = script = Long(SURE)
    gateway = limited(start, backend, router)
    with gateway.sdk() as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        got = [next(stream).choices[0].delta.content for _ in range(4)]
        script.go_on.set()  # only what was let go before the end can have come
        got += [part.choices[0].delta.content for part in stream]
    assert "".join(map(str, got)) == "word0 word1 word2 word3 end"
    assert [len(probe.logprobs) for probe in router.seen] == [4] and not router.seen[0].truncated


@pytest.mark.parametrize("stream", [True, False])
def test_a_long_one_that_does_not_convince_is_hung_up_on(
    start: Start, backend: ScriptedBackend, router: AskingRouter, stream: bool
) -> None:
    """For a plain request, too, where it was expected to be long."""
    backend.script = script = Long(UNSURE)
    router.tokens = 500.0
    gateway = limited(start, backend, router)
    answer = gateway.post({**ASK, "stream": stream})
    assert "four" in answer.text and "word" not in answer.text
    assert script.hung_up.wait(PATIENCE_S), "the backend was not told"
    (row,) = gateway.records()
    assert (row["probe"], row["probe_tokens"], row["status"]) == ("thrown_away", 4, 200)


def test_a_long_one_that_convinces_is_put_together_for_a_plain_request(
    start: Start, backend: ScriptedBackend, router: AskingRouter
) -> None:
    backend.script = script = Long(SURE)
    script.go_on.set()
    router.tokens = 500.0
    body = limited(start, backend, router).post(ASK).json()
    assert body["object"] == "chat.completion" and body["model"] == "merged"
    choice = body["choices"][0]
    assert (choice["message"]["content"], choice["logprobs"], choice["finish_reason"]) == (
        "word0 word1 word2 word3 end", None, "stop"
    )  # fmt: skip


def test_who_asks_for_log_probabilities_gets_them(gateway: RunningGateway, backend: ScriptedBackend) -> None:
    backend.script = Short(SURE)
    for stream in (False, True):
        answer = gateway.post({**ASK, "stream": stream, "logprobs": True, "top_logprobs": 5})
        assert answer.headers["x-thinkgate-reason"] == "probe" and answer.text.count('"top_logprobs"') == 3
        assert backend.last["top_logprobs"] == 5


IMPOSSIBLE: list[dict[str, Any]] = [
    {"n": 2},
    {"logprobs": True},
    {"logprobs": True, "top_logprobs": 1},
    {"reasoning": {"exclude": True}},
]


@pytest.mark.parametrize("more", IMPOSSIBLE, ids=str)
def test_where_there_can_be_none_the_text_decides(
    gateway: RunningGateway, backend: ScriptedBackend, router: AskingRouter, more: dict[str, Any]
) -> None:
    """But not of what is strange to the router: that gets the operator's default."""
    assert gateway.post({**ASK, **more}).headers["x-thinkgate-reason"] == "router"
    router.strange = True
    strange = gateway.post({**ASK, **more})
    assert (strange.headers["x-thinkgate-reason"], strange.headers["x-thinkgate-budget"]) == ("fallback", "32")
    assert len(backend.requests) == 2 and not router.seen
    backend.script = Short(UNSURE)
    assert gateway.post(ASK).headers["x-thinkgate-reason"] == "probe", "else it is asked for a probe, strange or not"


def test_a_small_limit_leaves_room_to_think_after_a_probe(gateway: RunningGateway, backend: ScriptedBackend) -> None:
    backend.script = Short(UNSURE)
    budget = gateway.post({**ASK, "max_tokens": 200}).headers["x-thinkgate-budget"]
    assert [one.body["max_tokens"] for one in backend.requests] == [200, 200 + int(budget)]


def test_a_limit_without_room_for_a_thought_leaves_nothing_to_ask(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    """Of a client whose limit covers its thinking."""
    gateway.post({**ASK, "max_tokens": 200, "thinking": {"type": "adaptive"}}, "/v1/messages")
    assert bodies(backend) == [("backend-model", False, False)]


def test_a_client_that_names_an_effort_is_asked_nothing(gateway: RunningGateway, backend: ScriptedBackend) -> None:
    assert gateway.post({**ASK, "reasoning_effort": "low"}).headers["x-thinkgate-reason"] == "client"
    gateway.post({**ASK, "reasoning_effort": "none"})
    assert bodies(backend) == [("backend-model", False, True), ("backend-model", False, False)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("logprob", [SURE, UNSURE])
def test_in_every_dialect(gateway: RunningGateway, backend: ScriptedBackend, logprob: float, stream: bool) -> None:
    backend.script = Short(logprob)
    said, tokens = ("five ok", 3) if logprob == SURE else ("four", 12)
    with gateway.claude() as claude, gateway.sdk() as client:
        ask: dict[str, Any] = {"model": "split", "messages": MESSAGES, "max_tokens": 900}
        if stream:
            with claude.messages.stream(**ask) as messages:
                message = messages.get_final_message()
            with client.responses.stream(model="split", input="What is 2+2?") as told:
                response = told.get_final_response()
        else:
            message = claude.messages.create(**ask)
            response = client.responses.create(model="split", input="What is 2+2?")
    assert message.content[-1].type == "text" and message.content[-1].text == said
    assert message.usage.output_tokens == tokens
    assert response.output_text == said and response.usage is not None
    assert response.usage.output_tokens == tokens and response.usage.total_tokens == tokens + 7
    rows = gateway.records()
    assert [row["probe"] for row in rows] == ["kept" if logprob == SURE else "thrown_away"] * 2
    assert {row["dialect"] for row in rows} == {"messages", "responses"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_meanwhile_cancels_it(
    gateway: RunningGateway, backend: ScriptedBackend, stream: bool
) -> None:
    reached, over = threading.Event(), threading.Event()

    async def half(connection: Connection) -> None:
        try:
            if stream:
                await connection.begin_stream()
                await connection.event(piece("five", SURE))
            reached.set()
            await connection.hung_up()
        finally:
            over.set()

    before = held(gateway)
    backend.script = half
    with gateway.leaving({**ASK, "stream": stream}):
        assert reached.wait(PATIENCE_S)
    assert over.wait(PATIENCE_S), "the backend was not told"
    assert settled(gateway, before) == before
    (row,) = gateway.records()
    assert (row["status"], row["client_gone"], row["probe"]) == (499, 1, "unfinished")


def test_one_that_was_let_go_and_is_not_read(serve: Start, backend: ScriptedBackend, router: AskingRouter) -> None:
    """The gateway takes no more of it than of any other stream, and lets the backend go with the client."""
    stuck, over = threading.Event(), threading.Event()

    async def floods(connection: Connection) -> None:
        try:
            await connection.begin_stream()
            for _ in range(4):
                await connection.event(piece("word", SURE))
            stuck.set()
            for _ in range(200):
                await connection.event(piece("x" * 100_000, SURE))
            await connection.hung_up()
        finally:
            over.set()

    gateway = limited(serve, backend, router)
    before = held(gateway)
    backend.script = floods
    with asked(gateway.url, {**ASK, "stream": True}) as client:
        assert stuck.wait(PATIENCE_S)
        got = b""
        while b"word" not in got:
            got += client.recv(4096)
        assert not over.is_set(), "20 MB were not taken"
    assert over.wait(PATIENCE_S), "the backend was not told"
    assert settled(gateway, before) == before
    (row,) = gateway.records()
    assert (row["status"], row["probe"]) == (499, "kept")


def test_check_says_whether_probes_are_asked_for(tmp_path: Path) -> None:
    settings = table("http://127.0.0.1:1/v1")
    dial = settings["models"]["merged"]["policy"]
    settings["deployments"]["hybrid"]["router_name"] = "tiny"
    settings["models"] = {
        "asking": {"deployment": "hybrid", "router": "tiny", "policy": dial},
        "never": {"deployment": "hybrid", "router": "tiny", "policy": {**dial, "probe": "never"}},
        "constant": {"deployment": "hybrid", "router": "constant", "policy": dial},
    }
    lines = [line.strip() for line in explain(parse(settings)) if line.strip().startswith("Probes:")]
    strange = "a request outside the router's training distribution gets low."
    assert lines == [
        "Probes: a short answer without thinking comes first where it is worth it; a stream is held back for up "
        f"to 64 tokens, and after 10 s it goes on without. Where none can be sent, {strange}",
        f"Probes: none are sent; {strange}",
        f"Probes: the router does not use them; {strange}",
    ]


def test_a_key_pays_for_both(backend: ScriptedBackend, tmp_path: Path, router: AskingRouter) -> None:
    """Tokens of a probe that is thrown away count as thought; dollars are those of both requests."""
    settings = table(backend.url)
    settings["deployments"]["hybrid"] |= {"input_price": 10.0, "output_price": 1000.0}
    backend.script = Short(UNSURE)
    with KeyedGateway(settings, tmp_path, Clock()) as gateway:
        with_router(gateway, router)
        secret = gateway.key(thinking_per_day=100, tokens_per_minute=100_000, dollars_per_day=10.0)
        answer = gateway.post(ASK, headers={"authorization": f"Bearer {secret}"})
        counts = used(gateway, secret)
        assert answer.headers["x-thinkgate-remaining-thinking"] == "92"
        assert (counts.requests, counts.day_used, counts.held_thinking, counts.tokens) == (1, 5 + 3, 0, 7 + 9 + 3)
        assert counts.day_dollars == pytest.approx(2 * 7 * 10e-6 + (9 + 3) * 1000e-6) and counts.held_dollars == 0
        backend.script = Short(SURE)
        gateway.post(ASK, headers={"authorization": f"Bearer {secret}"})
        counts = used(gateway, secret)
        assert (counts.requests, counts.day_used, counts.held_thinking, counts.tokens) == (2, 8, 0, 19 + 10)
        rows = gateway.records()
    assert [row["cost"] for row in rows] == pytest.approx([2 * 7e-5 + 0.012, 7e-5 + 0.003])


def test_where_no_thought_is_left_the_probe_is_the_answer(
    backend: ScriptedBackend, tmp_path: Path, router: AskingRouter
) -> None:
    backend.script = Short(UNSURE)
    with KeyedGateway(table(backend.url), tmp_path, Clock()) as gateway:
        with_router(gateway, router)
        secret = gateway.key(thinking_per_day=6)
        answers = [gateway.post(ASK, headers={"authorization": f"Bearer {secret}"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[-1].json()["choices"][0]["message"]["content"] in ("five ok", "four")


def asks(buyer: PricedPolicy, router: AskingRouter, **fields: Any) -> Decision:
    call = Call("id", "chat", "m", {}, **fields)
    deployment = Deployment("d", ("http://x/v1",), "m", family("qwen3"))
    arm = Arm.of("merged", deployment, deployment, (NO_THINKING, Effort(True, 32), Effort(True, 64), UNLIMITED))
    forecast = router.prepare(arm, "auto").forecast(call)
    return DialPolicy(buyer, 0.5).decide(call, forecast)


def test_the_policy_says_whether_to_ask(router: AskingRouter) -> None:
    free, best = EffortBounds(default=Effort(True, 32)), Effort(True, 64)
    first = asks(PricedPolicy(free), router)
    assert (first.effort, first.reason, first.probe_options is None) == (NO_THINKING, "probe", False)
    never = asks(PricedPolicy(free, "never"), router)
    assert (never.effort, never.reason, never.probe_options) == (best, "router", None)
    for bounds, fields in ((EffortBounds(floor=Effort(True, 32)), {}), (free, {"ceiling": NO_THINKING})):
        other = asks(PricedPolicy(bounds), router, **fields)
        assert other.probe_options is None and other.reason == "router", "there is nothing to choose by it"
    router.probe_options = False
    direct = asks(PricedPolicy(free), router)
    assert (direct.effort, direct.reason, direct.probe_options) == (best, "router", None), (
        "not without thinking, unseen"
    )
    assert asks(PricedPolicy(free, "always"), router).probe_options is not None
    router.strange = True
    assert asks(PricedPolicy(free, "never"), router).reason == "fallback"
    assert asks(PricedPolicy(free, "never"), router).effort == Effort(True, 32)


def test_after_a_probe_its_answer_costs_nothing_more(router: AskingRouter) -> None:
    decision = asks(PricedPolicy(EffortBounds()), router)
    assert decision.forecast is not None
    none = decision.forecast.efforts[0]._replace(answer_tokens=0.0, seconds=0.0)
    assert worth(none, Prices(1.0, 1.0)) == none.p_correct


def test_what_is_served_and_what_is_collected_are_read_alike() -> None:
    values = [-0.1, -0.25, -1e-9, -3.0]
    heard = Logprobs()
    for value in values:
        heard.add(piece("x", value)["choices"][0])
    probe = heard.probe("length")
    assert probe is not None
    read = Read.of(values, heard.probe("stop").first_margin, True)  # type: ignore[union-attr]
    assert (probe.mean, probe.least, probe.truncated) == (read.mean, read.least, read.truncated)
    capped = heard.probe("length", 2)
    assert capped is not None and capped.logprobs == values[:2] and not capped.truncated


@pytest.mark.parametrize("told", [None, [], {"content": None}, {"content": [{}]}, {"content": [{"logprob": "x"}]}])
def test_what_are_no_log_probabilities(told: Any) -> None:
    heard = Logprobs()
    heard.add({"logprobs": told})
    assert heard.probe("stop") is None

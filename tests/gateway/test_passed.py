"""Raw completions and embeddings: they go on as they came, by the same door, gate, records and limits as chats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.auth.api_key_format import key_id
from tests.gateway.conftest import Start, table
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.raw_prompts import COMPLETION, EMBEDDING, VECTOR, raw, text_answer
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import MODEL, Connection, ScriptedBackend
from tests.patience import PATIENCE_S


@pytest.fixture
def gateway(backend: ScriptedBackend, scripted_gateway: RunningGateway) -> RunningGateway:
    backend.script = raw
    return scripted_gateway


def post(gateway: RunningGateway, path: str, body: Any, **options: Any) -> httpx.Response:
    return gateway.post(body, f"/v1/{path}", **options)


def test_a_completion_passes_untouched_but_for_the_model(gateway: RunningGateway, backend: ScriptedBackend) -> None:
    sent = {**COMPLETION, "max_tokens": 4, "logprobs": 2, "thinking_token_budget": 3, "of_tomorrow": [None, {"a": 1}]}
    answer = post(gateway, "completions", sent)
    assert answer.json() == {**text_answer(), "model": "merged"}
    assert backend.requests[-1].path == "/v1/completions"
    assert backend.last == {**sent, "model": MODEL}
    # Nothing was decided, and nothing else is said.
    own = {name for name in answer.headers if name.startswith("x-thinkgate")}
    assert own == {"x-thinkgate-arm", "x-thinkgate-id"}


def test_the_sdk_completes_plain_and_streamed(gateway: RunningGateway, backend: ScriptedBackend) -> None:
    with gateway.sdk() as client:
        answer = client.completions.create(**COMPLETION, max_tokens=4)
        assert (answer.model, answer.choices[0].text) == ("merged", " a time")
        assert answer.usage is not None and answer.usage.completion_tokens == 4
        chunks = list(client.completions.create(**COMPLETION, stream=True))
        assert backend.last["stream_options"] == {"include_usage": True}
        counted = list(client.completions.create(**COMPLETION, stream=True, stream_options={"include_usage": True}))
    assert [chunk.choices[0].text for chunk in chunks] == [" a", " time"]
    assert {chunk.model for chunk in counted} == {"merged"}
    assert counted[-1].usage is not None and counted[-1].usage.completion_tokens == 16


async def test_the_async_sdk(gateway: RunningGateway) -> None:
    async with gateway.async_sdk() as client:
        stream = await client.completions.create(**COMPLETION, stream=True)
        assert "".join([chunk.choices[0].text async for chunk in stream]) == " a time"
        assert (await client.embeddings.create(**EMBEDDING)).data[0].embedding == VECTOR


def test_the_sdk_embeds(gateway: RunningGateway, backend: ScriptedBackend) -> None:
    with gateway.sdk() as client:
        answer = client.embeddings.create(**EMBEDDING, dimensions=3)
        assert backend.last["encoding_format"] == "base64" and backend.last["dimensions"] == 3
        floats = client.embeddings.create(**EMBEDDING, encoding_format="float")
    assert answer.data[0].embedding == floats.data[0].embedding == VECTOR
    assert answer.model == "merged" and answer.usage.prompt_tokens == 3
    assert backend.requests[-1].path == "/v1/embeddings"


def test_records_say_that_nothing_was_decided(gateway: RunningGateway) -> None:
    post(gateway, "completions", {**COMPLETION, "max_tokens": 4, "user": "u"})
    post(gateway, "completions", {**COMPLETION, "stream": True})
    post(gateway, "embeddings", EMBEDDING)
    post(gateway, "embeddings", {"model": "merged"})
    rows = gateway.records()
    assert [row["dialect"] for row in rows] == ["completions"] * 2 + ["embeddings"] * 2
    assert [row["status"] for row in rows] == [200, 200, 200, 400]
    for row in rows:
        assert {row[name] for name in ("requested", "decided", "applied", "budget", "reason", "router")} == {None}
    assert [row["completion_tokens"] for row in rows] == [4, 16, 0, None]
    assert [row["prompt_tokens"] for row in rows] == [3, 3, 3, None]
    assert [row["finish_reason"] for row in rows] == ["length", "length", None, None]
    assert rows[1]["streamed"] and rows[1]["ttft"] is not None
    assert {row["arm"] for row in rows[:3]} == {"merged"} and rows[0]["deployment"] == "hybrid"


def test_they_go_to_the_half_that_need_not_think(gateway: RunningGateway, backend: ScriptedBackend) -> None:
    post(gateway, "completions", {**COMPLETION, "model": "split"})
    assert backend.last["model"] == "an-instruct-model"


def test_metrics_count_them(gateway: RunningGateway) -> None:
    post(gateway, "completions", {**COMPLETION, "max_tokens": 4})
    post(gateway, "embeddings", EMBEDDING)
    text = gateway.get("/metrics").text
    assert 'thinkgate_requests_total{arm="merged",model="merged",reason="",status="200"} 2.0' in text
    assert 'thinkgate_tokens_total{kind="prompt",model="merged"} 6.0' in text
    assert 'thinkgate_tokens_total{kind="answer",model="merged"} 4.0' in text
    assert 'thinkgate_thinking_tokens_count{model="merged"} 0.0' in text


WRONG: list[tuple[str, Any, int, str | None, str]] = [
    ("completions", b"{", 400, None, "invalid_json"),
    ("completions", {"prompt": "a"}, 400, "model", "missing_required_parameter"),
    ("completions", {**COMPLETION, "model": "merge"}, 404, "model", "model_not_found"),
    ("completions", {**COMPLETION, "model": 3}, 400, "model", "invalid_type"),
    ("completions", {"model": "merged"}, 400, "prompt", "missing_required_parameter"),
    ("completions", {**COMPLETION, "prompt": 5}, 400, "prompt", "invalid_type"),
    ("completions", {**COMPLETION, "prompt": []}, 400, "prompt", "empty_array"),
    ("completions", {**COMPLETION, "prompt": [[]]}, 400, "prompt[0]", "empty_array"),
    ("completions", {**COMPLETION, "prompt": [1, "a"]}, 400, "prompt[1]", "invalid_type"),
    ("completions", {**COMPLETION, "prompt": ["a", True]}, 400, "prompt[1]", "invalid_type"),
    ("completions", {**COMPLETION, "prompt": ["a", [1, 2.0]]}, 400, "prompt[1][1]", "invalid_type"),
    ("completions", {**COMPLETION, "max_tokens": "9"}, 400, "max_tokens", "invalid_type"),
    ("completions", {**COMPLETION, "max_tokens": -1}, 400, "max_tokens", "invalid_value"),
    ("completions", {**COMPLETION, "n": 0}, 400, "n", "invalid_value"),
    ("completions", {**COMPLETION, "best_of": 1.5}, 400, "best_of", "invalid_type"),
    ("completions", {**COMPLETION, "stream": 1}, 400, "stream", "invalid_type"),
    ("completions", {**COMPLETION, "stream_options": []}, 400, "stream_options", "invalid_type"),
    ("completions", {**COMPLETION, "reasoning_effort": "low"}, 400, "reasoning_effort", "unknown_parameter"),
    ("completions", {**COMPLETION, "thinkgate": {"dial": 1}}, 400, "thinkgate", "unknown_parameter"),
    ("embeddings", {"model": "merged"}, 400, "input", "missing_required_parameter"),
    ("embeddings", {**EMBEDDING, "input": {}}, 400, "input", "invalid_type"),
    ("embeddings", {**EMBEDDING, "input": [[1], [None]]}, 400, "input[1][0]", "invalid_type"),
    ("embeddings", {"model": "merged", "messages": ["a"]}, 400, "messages[0]", "invalid_type"),
    ("embeddings", {**EMBEDDING, "reasoning": {}}, 400, "reasoning", "unknown_parameter"),
]


def test_each_mistake_is_named_and_recorded(gateway: RunningGateway, backend: ScriptedBackend) -> None:
    for path, sent, status, param, code in WRONG:
        answer = post(gateway, path, sent)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"], error["code"]) == (status, param, code), sent
        assert error["type"] == "invalid_request_error" and answer.headers["x-request-id"]
    assert backend.requests == []
    assert [(row["dialect"], row["status"]) for row in gateway.records()] == [case[:3:2] for case in WRONG]


@pytest.mark.parametrize("prompt", ["a", ["a", "b"], [1, 2], [[1], [2, 3]], ["a", [1]]])
def test_every_form_of_a_prompt(gateway: RunningGateway, backend: ScriptedBackend, prompt: Any) -> None:
    for path, body in (
        ("completions", {**COMPLETION, "prompt": prompt}),
        ("embeddings", {**EMBEDDING, "input": prompt}),
    ):
        assert post(gateway, path, body).status_code == 200
        assert backend.last == {**body, "model": MODEL}


def test_a_backend_s_refusal_and_a_strange_answer(gateway: RunningGateway, backend: ScriptedBackend) -> None:
    async def refuse(connection: Connection) -> None:
        await connection.answer(404, b'{"error": {"message": "no such thing", "type": "NotFoundError", "code": 404}}')

    backend.script = refuse
    with gateway.sdk() as client, pytest.raises(openai.NotFoundError, match="no such thing"):
        client.embeddings.create(**EMBEDDING)

    async def chat(connection: Connection) -> None:
        await connection.answer(200, b'{"choices": []}')

    backend.script = chat
    answer = post(gateway, "embeddings", EMBEDDING)
    assert answer.status_code == 502 and answer.json()["error"]["message"] == "The backend's answer has no data."


def test_another_replica_answers_but_no_other_model(backend: ScriptedBackend, start: Start) -> None:
    dead = "http://127.0.0.1:9/v1"
    settings = table(backend.url)
    backend.script = raw
    settings["deployments"]["hybrid"] |= {"url": [dead, backend.url], "retries": 1}
    settings["deployments"]["other"] |= {"url": dead, "fallback": "hybrid"}
    gateway = start(settings)
    for number in range(4):
        assert post(gateway, "completions", {**COMPLETION, "prompt": f"{number} times"}).status_code == 200
        assert post(gateway, "embeddings", {**EMBEDDING, "input": [[number]]}).status_code == 200
    # Its tokens and its vectors are not this model's.
    answer = post(gateway, "embeddings", {**EMBEDDING, "model": "plain"})
    assert answer.status_code == 502 and answer.json()["error"]["code"] == "backend_unreachable"


def test_hanging_up_lets_the_backend_go(gateway: RunningGateway, backend: ScriptedBackend) -> None:
    async def silent(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.event({**text_answer(), "choices": [{"index": 0, "text": "a", "finish_reason": None}]})
        await connection.hung_up()

    backend.script = silent
    asked = {**COMPLETION, "stream": True}
    with gateway.http() as client, client.stream("POST", "/v1/completions", json=asked) as answer:
        next(answer.iter_lines())
    assert backend.hang_ups.acquire(timeout=PATIENCE_S)
    (row,) = gateway.records()
    assert row["client_gone"] and row["status"] == 499 and row["dialect"] == "completions"


class TestKeys:
    @pytest.fixture
    def keyed(self, backend: ScriptedBackend, tmp_path: Path) -> Any:
        backend.script = raw
        settings = table(backend.url)
        settings["deployments"]["hybrid"] |= {"input_price": 1e6, "output_price": 1e6}
        with KeyedGateway(settings, tmp_path, Clock()) as running:
            yield running

    @staticmethod
    def ask(gateway: KeyedGateway, secret: str, path: str = "completions", **more: Any) -> httpx.Response:
        body = (COMPLETION if path == "completions" else EMBEDDING) | more
        return post(gateway, path, body, headers={"authorization": f"Bearer {secret}"})

    def test_without_one_nobody_comes_in(self, keyed: KeyedGateway, backend: ScriptedBackend) -> None:
        assert self.ask(keyed, "tg-none").status_code == 401
        secret = keyed.key(models=["split"])
        assert self.ask(keyed, secret).json()["error"]["code"] == "model_not_allowed"
        assert backend.requests == []

    def test_a_thinking_quota_cannot_be_escaped_by_a_raw_prompt(self, keyed: KeyedGateway) -> None:
        secret = keyed.key(thinking_per_hour=100)
        answer = self.ask(keyed, secret, max_tokens=60)
        assert answer.headers["x-thinkgate-remaining-thinking"] == "40"
        refused = self.ask(keyed, secret, max_tokens=41)
        assert refused.status_code == 429 and "Use a smaller max_tokens." in refused.json()["error"]["message"]
        assert self.ask(keyed, secret, max_tokens=20, n=3).status_code == 429
        assert self.ask(keyed, secret, max_tokens=20, prompt=["a", "b", "c"]).status_code == 429
        unlimited = self.ask(keyed, secret, max_tokens=None)
        assert (unlimited.status_code, unlimited.json()["error"]["param"]) == (403, "max_tokens")
        # What cannot think costs nothing of it.
        assert self.ask(keyed, secret, model="split", max_tokens=500).status_code == 200
        assert self.ask(keyed, secret, "embeddings").status_code == 200
        left = self.ask(keyed, secret, max_tokens=40).headers["x-thinkgate-remaining-thinking"]
        assert left == "0"
        counts = keyed.keys.counters.read(keyed.keys.get(str(key_id(secret))).slot, keyed.keys.clock())
        assert (counts.hour_used, counts.held_thinking, counts.all_thinking) == (100, 0, 100)

    def test_a_ceiling_bounds_what_may_all_be_thought(self, keyed: KeyedGateway) -> None:
        secret = keyed.key(ceiling=50)
        assert self.ask(keyed, secret, max_tokens=50).status_code == 200
        for limit in (51, None):
            refused = self.ask(keyed, secret, max_tokens=limit)
            assert (refused.status_code, refused.json()["error"]["param"]) == (403, "max_tokens")
        assert self.ask(keyed, keyed.key(ceiling="none")).status_code == 403
        assert self.ask(keyed, keyed.key(ceiling="none"), model="split").status_code == 200
        assert self.ask(keyed, keyed.key(ceiling="none"), "embeddings").status_code == 200
        assert self.ask(keyed, keyed.key(ceiling="max"), max_tokens=None).status_code == 200

    def test_tokens_and_dollars_are_counted(self, keyed: KeyedGateway) -> None:
        secret = keyed.key(tokens_per_minute=30, dollars_per_day=1000.0)
        assert self.ask(keyed, secret, max_tokens=10).headers["x-ratelimit-remaining-tokens"] == "17"
        assert self.ask(keyed, secret, "embeddings").headers["x-ratelimit-remaining-tokens"] == "14"
        counts = keyed.keys.counters.read(keyed.keys.get(str(key_id(secret))).slot, keyed.keys.clock())
        assert (counts.all_prompt, counts.all_completion, counts.all_dollars) == (6, 10, 16.0)

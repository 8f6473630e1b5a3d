"""Bad input: OpenAI's error object with the status, the type and the parameter at fault; and the process lives on."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.contract.backend import MODEL, Backend
from tests.contract.prompts import NO_THINKING, SUM

BAD_FIELDS: list[tuple[str, Any]] = [
    ("temperature", "hot"),
    ("temperature", -1),
    ("temperature", 2.5),
    ("top_p", 0),
    ("top_p", 1.5),
    ("max_tokens", 0),
    ("max_tokens", -1),
    ("max_tokens", "many"),
    ("max_tokens", 5000),
    ("max_completion_tokens", 0),
    ("n", 0),
    ("n", "x"),
    ("seed", "x"),
    ("seed", 1.5),
    ("stop", ["a"] * 5),
    ("stop", ""),
    ("stream", "perhaps"),
    ("stream_options", {"include_usage": True}),
    ("logprobs", "x"),
    ("top_logprobs", 2),
    ("reasoning_effort", "huge"),
    ("chat_template_kwargs", "x"),
    ("logit_bias", {"99999": 1}),
    ("tools", []),
    ("tool_choice", "auto"),
    ("model", 5),
]
# vLLM names no parameter for these.
UNNAMED = [("n", 0), ("stop", "")]


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS)
def test_a_bad_field_is_named(backend: Backend, field: str, value: Any) -> None:
    answer = backend.refuse(SUM, **{**NO_THINKING, field: value})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["message"]
    assert error["type"]
    assert error["code"] == 400
    if (field, value) not in UNNAMED:
        expected = "max_tokens" if field == "max_completion_tokens" else field
        assert expected in error["param"]


@pytest.mark.parametrize("messages", ["x", [], None, [{"role": "user", "content": 5}], [5], [{"content": "no role"}]])
def test_bad_messages(backend: Backend, messages: Any) -> None:
    answer = backend.refuse(messages)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_too_many_alternatives(backend: Backend) -> None:
    assert backend.refuse(SUM, logprobs=True, top_logprobs=21).status_code == 400


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model(backend: Backend, stream: bool) -> None:
    answer = backend.refuse(SUM, model="no-such-model", stream=stream)
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("NotFoundError", "model", 404)
    assert "no-such-model" in error["message"]


def test_the_sdk_raises_its_own_errors(backend: Backend) -> None:
    with pytest.raises(openai.NotFoundError):
        backend.sdk.chat.completions.create(model="no-such-model", messages=SUM)
    with pytest.raises(openai.BadRequestError):
        backend.sdk.chat.completions.create(model=MODEL, messages=SUM, temperature=9)


@pytest.mark.parametrize(
    "body", [b'{"model": ', b"[1]", b"", b'"text"', b'{"messages": [{"role": "user", "content": "\xff"}]}']
)
def test_a_body_that_is_no_request(backend: Backend, body: bytes) -> None:
    assert backend.post("/v1/chat/completions", body).status_code == 400


def test_half_a_surrogate_pair(backend: Backend) -> None:
    body = b'{"model": "tiny", "max_tokens": 3, "messages": [{"role": "user", "content": "\\ud800"}]}'
    assert backend.post("/v1/chat/completions", body).status_code == 400


@pytest.mark.parametrize("text", ["word " * 5000, "x" * 1_000_000])
def test_a_prompt_over_the_context(backend: Backend, text: str) -> None:
    answer = backend.refuse([{"role": "user", "content": text}])
    assert answer.status_code == 400
    assert "2048" in answer.json()["error"]["message"]


def test_a_limit_over_what_is_left_of_the_context_is_cut(backend: Backend) -> None:
    assert backend.chat(SUM, max_tokens=2040, **NO_THINKING)["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/v1/nothing", 404), ("GET", "/v1/chat/completions", 405)]
)
def test_unknown_paths_and_methods(backend: Backend, method: str, path: str, status: int) -> None:
    assert backend.http.request(method, path).status_code == status


def test_it_lives_on(backend: Backend) -> None:
    backend.refuse(SUM, temperature="hot")
    assert backend.chat(SUM, max_tokens=2)["choices"]

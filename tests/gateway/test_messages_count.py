"""Counting tokens: exactly where the backend tells, about where it does not; nothing is generated or recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.config.defaults import embedded_settings
from tests.gateway.anthropics import COUNT, HI, TOOL, ask
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, ScriptedBackend

THINKING = {"type": "enabled", "budget_tokens": 64}


def counted(answer: httpx.Response) -> tuple[int, str]:
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"input_tokens"}
    return answer.json()["input_tokens"], answer.headers["x-thinkgate-count"]


def settings_for(engine: str, folder: Path) -> dict[str, Any]:
    chosen = embedded_settings(engine, folder / "r.db", host="127.0.0.1", port=0)
    return chosen.model_dump(mode="json", exclude={"records"}, exclude_none=True)


@pytest.mark.parametrize("model", ["tiny", "tiny-split"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"system": "Be brief."},
        {"thinking": {"type": "disabled"}},
        {"thinking": THINKING},
        {"tools": [TOOL], "tool_choice": {"type": "auto"}},
    ],
)
def test_it_counts_what_the_model_then_reads(
    model: str, fields: dict[str, Any], engine: str, start: Start, tmp_path: Path
) -> None:
    gateway = start(settings_for(engine, tmp_path))
    fields = {"thinking": THINKING, **fields, "model": model}
    count, how = counted(ask(gateway, COUNT, **fields))
    assert how == "exact"
    used = ask(gateway, **fields, max_tokens=330).json()["usage"]["input_tokens"]
    assert count == used
    assert len(gateway.records()) == 1


async def test_the_sdk_counts(engine: str, start: Start, tmp_path: Path) -> None:
    gateway = start(settings_for(engine, tmp_path))
    with gateway.claude() as client:
        count = client.messages.count_tokens(model="tiny", messages=HI, system="Be brief.", tools=[TOOL])
    async with gateway.async_claude() as client:
        again = await client.messages.count_tokens(model="tiny", messages=HI, system="Be brief.", tools=[TOOL])
    assert count.input_tokens == again.input_tokens > 20


def tokenizer(status: int, body: bytes) -> Any:
    async def script(connection: Connection) -> None:
        await connection.answer(status, body)

    return script


def test_what_the_tokenizer_is_asked(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    backend.script = tokenizer(200, b'{"count": 42}')
    fields = {"tools": [TOOL], "system": "s", "stop_sequences": ["x"], "temperature": 0.5}
    assert counted(ask(scripted_gateway, COUNT, thinking={"type": "disabled"}, **fields)) == (42, "exact")
    (request,) = backend.requests
    assert request.path == "/tokenize"
    function = {"name": TOOL["name"], "description": TOOL["description"], "parameters": TOOL["input_schema"]}
    assert request.body == {
        "model": "backend-model",
        "messages": [{"role": "system", "content": "s"}, *HI],
        "tools": [{"type": "function", "function": function}],
        "chat_template_kwargs": {"enable_thinking": False},
    }
    ask(scripted_gateway, COUNT, model="plain", output_config={"effort": "high"}, max_tokens=None)
    told = {"reasoning_effort": "high", "enable_thinking": True}
    assert backend.last["chat_template_kwargs"] == told and "tools" not in backend.last


def test_sglang_is_told_the_effort_itself(backend: ScriptedBackend, start: Start) -> None:
    settings = table(backend.url)
    settings["deployments"]["other"] |= {"engine": "sglang"}
    backend.script = tokenizer(200, b'{"count": 42}')
    gateway = start(settings)
    assert counted(ask(gateway, COUNT, model="plain", output_config={"effort": "high"})) == (42, "exact")
    assert backend.last["reasoning_effort"] == "high" and "chat_template_kwargs" not in backend.last


def test_thoughts_count_as_the_family_has_them(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    models = ("plain", {"reasoning": "two and two"}), ("merged", {})
    blocks = {model: ask(scripted_gateway, model=model).json()["content"][0] for model, _ in models}
    backend.script = tokenizer(200, b'{"count": 42}')
    for model, sent in models:
        messages = [*HI, {"role": "assistant", "content": [blocks[model]]}, *HI]
        counted(ask(scripted_gateway, COUNT, model=model, messages=messages))
        assert backend.last["messages"][1] == {"role": "assistant", "content": "", **sent}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b'{"error": {"message": "no such route"}}'),
        (405, b""),
        (500, b'{"error": {"message": "broken"}}'),
        (200, b"not json"),
        (200, b"[]"),
        (200, b'{"count": "42"}'),
        (200, b'{"count": -1}'),
        (418, b"I am a teapot"),
    ],
)
def test_where_the_backend_does_not_tell_it_is_an_estimate(
    status: int, body: bytes, scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    backend.script = tokenizer(status, body)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 40_000}}
    text = {"type": "text", "text": "word " * 400}
    short, how = counted(ask(scripted_gateway, COUNT))
    longer, _ = counted(ask(scripted_gateway, COUNT, messages=[{"role": "user", "content": [text]}]))
    seen, _ = counted(ask(scripted_gateway, COUNT, messages=[{"role": "user", "content": [text, image]}]))
    tooled, _ = counted(ask(scripted_gateway, COUNT, tools=[TOOL]))
    assert how == "estimate"
    assert 1 <= short < 20 < tooled < 100 and 480 <= longer <= 540 and longer + 1000 < seen < longer + 2000


def test_a_backend_that_is_not_there_or_silent(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    async def cut(connection: Connection) -> None:
        connection.cut()

    backend.script = cut
    assert counted(ask(scripted_gateway, COUNT))[1] == "estimate"


def test_a_hosted_api_is_not_asked(backend: ScriptedBackend, start: Start) -> None:
    settings = table(backend.url)
    settings["families"] = {"away": {"base": "plain", "engine": "hosted", "source": "made up"}}
    settings["deployments"]["away"] = {"url": backend.url, "model": "m", "family": "away"}
    settings["models"]["away"] = {"deployment": "away"}
    assert counted(ask(start(settings), COUNT, model="away"))[1] == "estimate"
    assert backend.requests == []


def test_a_prompt_that_the_backend_would_not_take(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    refusal = {"error": {"message": "no images here", "type": "BadRequestError", "param": "messages", "code": 400}}
    backend.script = tokenizer(400, json.dumps(refusal).encode())
    answer = ask(scripted_gateway, COUNT)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["message"]) == (400, "invalid_request_error", "no images here")

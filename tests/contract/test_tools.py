"""Tools: they are put before the model by its template, and its calls come back parsed, plain and streamed."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from router_model.tasks import Prompt, verify
from tests.contract.backend import MODEL, Backend
from tests.contract.prompts import NO_THINKING, SUM, tool_prompts

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def _answered(backend: Backend, **fields: Any) -> tuple[Prompt, dict[str, Any]]:
    """The first tool prompt that the model answers with the right call, and its choice."""
    for prompt in tool_prompts():
        (choice,) = backend.chat(prompt.messages, tools=prompt.tools, max_tokens=300, **fields)["choices"]
        if verify(prompt, choice["message"]["content"], choice["message"].get("tool_calls")) == 1:
            return prompt, choice
    raise AssertionError("the model called the right tool for no prompt")


def test_the_template_shows_the_tools(backend: Backend) -> None:
    plain, with_tools = (
        backend.ask("/tokenize", {"model": MODEL, "messages": SUM, **fields})["tokens"]
        for fields in ({}, {"tools": [TOOL]})
    )
    shown = backend.ask("/detokenize", {"model": MODEL, "tokens": with_tools})["prompt"]
    assert "get_weather" in shown
    assert with_tools[-len(plain) + 1 :] == plain[1:]
    answer = backend.chat(SUM, tools=[TOOL], max_tokens=1, return_token_ids=True)
    assert "get_weather" in backend.ask("/detokenize", {"model": MODEL, "tokens": answer["prompt_token_ids"]})["prompt"]


def test_a_call_is_parsed(backend: Backend) -> None:
    _, choice = _answered(backend, **NO_THINKING)
    assert choice["finish_reason"] == "tool_calls"
    assert not choice["message"]["content"]
    (call,) = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["id"]
    assert isinstance(json.loads(call["function"]["arguments"]), dict)


def test_a_call_after_a_thought(backend: Backend) -> None:
    _, choice = _answered(backend)
    assert choice["message"]["reasoning"].strip()
    assert choice["message"]["tool_calls"]
    assert not (choice["message"]["content"] or "").strip()


def test_a_streamed_call_is_the_plain_one(backend: Backend) -> None:
    prompt, choice = _answered(backend, **NO_THINKING)
    chunks = backend.chat_chunks(prompt.messages, tools=prompt.tools, max_tokens=300, **NO_THINKING)
    calls: dict[int, dict[str, str]] = defaultdict(lambda: {"name": "", "arguments": ""})
    for chunk in chunks:
        for part in chunk["choices"][0]["delta"].get("tool_calls") or ():
            for field in ("name", "arguments"):
                calls[part["index"]][field] += part["function"].get(field) or ""
    (expected,) = choice["message"]["tool_calls"]
    assert calls[0]["name"] == expected["function"]["name"]
    assert json.loads(calls[0]["arguments"]) == json.loads(expected["function"]["arguments"])
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert not "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks).strip()


def test_the_sdk_reads_a_streamed_call(backend: Backend) -> None:
    prompt, _ = _answered(backend, **NO_THINKING)
    with backend.sdk.chat.completions.stream(
        model=MODEL, messages=prompt.messages, tools=prompt.tools, temperature=0, extra_body=NO_THINKING
    ) as stream:
        message = stream.get_final_completion().choices[0].message
    assert verify(prompt, message.content, message.tool_calls) == 1


def test_without_tools_a_call_is_text(backend: Backend) -> None:
    """`tool_choice` none keeps the tools before the model, or not, but parses nothing."""
    prompt, _ = _answered(backend, **NO_THINKING)
    (choice,) = backend.chat(prompt.messages, tools=prompt.tools, tool_choice="none", max_tokens=60, **NO_THINKING)[
        "choices"
    ]
    assert not choice["message"].get("tool_calls")
    assert choice["finish_reason"] in ("stop", "length")

"""The matrix for Chat Completions: twenty ways to say an effort, by the official SDK, plain, streamed and async."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.contract.matrix import MODELS, PROMPT, Form, Told, check, levels, together, together_async
from tests.gateway.running import RunningGateway


def extra(**fields: Any) -> dict[str, Any]:
    return {"extra_body": fields}


def switch(on: bool, **more: Any) -> dict[str, Any]:
    return extra(chat_template_kwargs={"enable_thinking": on}, **more)


FORMS = [
    Form("absent", None, decides=True),
    Form("auto", None, extra(reasoning_effort="auto"), decides=True),
    Form("auto up to 40", 40, extra(reasoning_effort="auto", thinking_token_budget=40), decides=True),
    Form("dial 0", None, extra(thinkgate={"dial": 0}), decides=True),
    Form("dial 1", None, extra(thinkgate={"dial": 1}), decides=True),
    *levels(lambda level: {"reasoning_effort": level}),
    *(Form(f"budget {budget}", budget, extra(thinking_token_budget=budget)) for budget in (0, 7, 20, 100)),
    Form("unlimited", None, extra(thinking_token_budget=-1)),
    Form("switched off", 0, switch(False)),
    Form("switched on", None, switch(True)),
    Form("switched on up to 12", 12, switch(True, thinking_token_budget=12)),
    Form("high up to 30", 30, {"reasoning_effort": "high", **extra(thinking_token_budget=30)}),
    Form("openrouter's level", 32, extra(reasoning={"effort": "low"})),
    Form("openrouter's budget", 24, extra(reasoning={"max_tokens": 24})),
    Form("openrouter's off", 0, extra(reasoning={"enabled": False})),
    Form("deepseek's off", 0, extra(thinking={"type": "disabled"})),
    Form("dashscope's budget", 16, extra(enable_thinking=True, thinking_budget=16)),
]


def whole(answer: Any, headers: Any) -> Told:
    (choice,) = answer.choices
    usage = answer.usage
    details = usage.completion_tokens_details
    return Told(
        text=choice.message.content or "",
        thought=getattr(choice.message, "reasoning", None) or "",
        ended=choice.finish_reason,
        prompt=usage.prompt_tokens,
        completion=usage.completion_tokens,
        used=details.reasoning_tokens if details else None,
        headers=headers,
    )


def streamed(chunks: Iterable[Any], headers: Any) -> Told:
    received = list(chunks)
    choices = [choice for chunk in received for choice in chunk.choices]
    usage = received[-1].usage
    details = usage.completion_tokens_details
    return Told(
        text="".join(choice.delta.content or "" for choice in choices),
        thought="".join(getattr(choice.delta, "reasoning", None) or "" for choice in choices),
        ended=choices[-1].finish_reason,
        prompt=usage.prompt_tokens,
        completion=usage.completion_tokens,
        used=details.reasoning_tokens if details else None,
        headers=headers,
    )


def request(model: str, form: Form, stream: bool) -> dict[str, Any]:
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    messages = [{"role": "user", "content": PROMPT}]
    return {"model": model, "messages": messages, "temperature": 0, **form.fields, **options}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", MODELS)
def test_every_way_to_ask(gateway: RunningGateway, model: str, stream: bool) -> None:
    with gateway.sdk() as client:

        def ask(form: Form) -> None:
            raw = client.chat.completions.with_raw_response.create(**request(model, form, stream))
            check((streamed if stream else whole)(raw.parse(), raw.headers), form, limited=False)

        together(FORMS, ask)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", MODELS)
async def test_the_async_client(gateway: RunningGateway, model: str, stream: bool) -> None:
    async with gateway.async_sdk() as client:

        async def ask(form: Form) -> None:
            raw = await client.chat.completions.with_raw_response.create(**request(model, form, stream))
            answer: Any = raw.parse()
            told = streamed([chunk async for chunk in answer], raw.headers) if stream else whole(answer, raw.headers)
            check(told, form, limited=False)

        await together_async(FORMS[5:9], ask)

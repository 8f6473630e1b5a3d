"""The matrix for Anthropic's Messages: thinking and effort together, by the official SDK, whole, streamed and async."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.matrix import LIMIT, MODELS, PROMPT, Form, Told, check, levels, together, together_async
from tests.gateway.running import RunningGateway


def thinking(kind: str, effort: str | None = None, **more: Any) -> dict[str, Any]:
    config = {} if effort is None else {"output_config": {"effort": effort}}
    return {"thinking": {"type": kind, **more}, **config}


FORMS = [
    Form("absent", None, decides=True),
    Form("adaptive", None, thinking("adaptive"), decides=True),
    Form("adaptive up to medium", 64, thinking("adaptive", "medium"), decides=True),
    Form("dial 1", None, {"extra_body": {"thinkgate": {"dial": 1}}}, decides=True),
    *levels(lambda level: {"output_config": {"effort": level}}),
    *(Form(f"budget {tokens}", tokens, thinking("enabled", budget_tokens=tokens)) for tokens in (8, 30, 120)),
    Form("budget 100 and low", 32, thinking("enabled", "low", budget_tokens=100)),
    Form("budget 20 and high", 20, thinking("enabled", "high", budget_tokens=20)),
    Form("disabled", 0, thinking("disabled")),
    Form("disabled and high", 0, thinking("disabled", "high")),
    Form("between tools", 0, thinking("between_tools")),
]


def told(message: Any, headers: Any) -> Told:
    details = message.usage.output_tokens_details
    return Told(
        text="".join(block.text for block in message.content if block.type == "text"),
        thought="".join(block.thinking for block in message.content if block.type == "thinking"),
        ended=message.stop_reason,
        prompt=message.usage.input_tokens,
        completion=message.usage.output_tokens,
        used=details.thinking_tokens if details else None,
        headers=headers,
    )


def request(model: str, form: Form) -> dict[str, Any]:
    fields = dict(form.fields)
    body = {"temperature": 0, **fields.pop("extra_body", {})}
    messages = [{"role": "user", "content": PROMPT}]
    return {"model": model, "max_tokens": LIMIT, "messages": messages, "extra_body": body, **fields}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", MODELS)
def test_every_way_to_ask(gateway: RunningGateway, model: str, stream: bool) -> None:
    with gateway.claude() as client:

        def ask(form: Form) -> None:
            if stream:
                with client.messages.stream(**request(model, form)) as running:
                    answer = told(running.get_final_message(), running.response.headers)
            else:
                raw = client.messages.with_raw_response.create(**request(model, form))
                answer = told(raw.parse(), raw.headers)
            check(answer, form, limited=True)

        together(FORMS, ask)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", MODELS)
async def test_the_async_client(gateway: RunningGateway, model: str, stream: bool) -> None:
    async with gateway.async_claude() as client:

        async def ask(form: Form) -> None:
            if stream:
                async with client.messages.stream(**request(model, form)) as running:
                    answer = told(await running.get_final_message(), running.response.headers)
            else:
                raw = await client.messages.with_raw_response.create(**request(model, form))
                answer = told(await raw.parse(), raw.headers)
            check(answer, form, limited=True)

        await together_async(FORMS[4:8], ask)

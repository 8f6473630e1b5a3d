"""The matrix for Responses: every level, by the official SDK, whole, streamed and async."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.contract.matrix import LIMIT, MODELS, PROMPT, Form, Told, check, levels, together, together_async
from tests.gateway.running import RunningGateway

FORMS = [
    Form("absent", None, decides=True),
    Form("null", None, {"reasoning": {"effort": None}}, decides=True),
    Form("auto", None, {"reasoning": {"effort": "auto"}}, decides=True),
    Form("dial 0", None, {"extra_body": {"thinkgate": {"dial": 0}}}, decides=True),
    Form("dial 1", None, {"extra_body": {"thinkgate": {"dial": 1}}}, decides=True),
    *levels(lambda level: {"reasoning": {"effort": level}}),
    Form("medium with a summary", 64, {"reasoning": {"effort": "medium", "summary": "auto"}}),
]


def whole(response: Any, headers: Any) -> Told:
    thoughts = [part.text for item in response.output if item.type == "reasoning" for part in item.content or ()]
    return Told(
        text=response.output_text,
        thought="".join(thoughts),
        ended=response.status,
        prompt=response.usage.input_tokens,
        completion=response.usage.output_tokens,
        used=response.usage.output_tokens_details.reasoning_tokens,
        headers=headers,
    )


def streamed(events: Iterable[Any], headers: Any) -> Told:
    """The last event has it all; what came before must say the same."""
    received = list(events)
    assert received[0].type == "response.created" and received[-1].type == "response.completed"
    told = whole(received[-1].response, headers)
    for kind, text in (("response.output_text.delta", told.text), ("response.reasoning_text.delta", told.thought)):
        assert "".join(event.delta for event in received if event.type == kind) == text
    return told


def request(model: str, form: Form, stream: bool) -> dict[str, Any]:
    fields = {"input": PROMPT, "temperature": 0, "max_output_tokens": LIMIT, **form.fields}
    return {"model": model, **fields, **({"stream": True} if stream else {})}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", MODELS)
def test_every_way_to_ask(gateway: RunningGateway, model: str, stream: bool) -> None:
    with gateway.sdk() as client:

        def ask(form: Form) -> None:
            raw = client.responses.with_raw_response.create(**request(model, form, stream))
            check((streamed if stream else whole)(raw.parse(), raw.headers), form, limited=True)

        together(FORMS, ask)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", MODELS)
async def test_the_async_client(gateway: RunningGateway, model: str, stream: bool) -> None:
    async with gateway.async_sdk() as client:

        async def ask(form: Form) -> None:
            raw = await client.responses.with_raw_response.create(**request(model, form, stream))
            answer: Any = raw.parse()
            told = streamed([event async for event in answer], raw.headers) if stream else whole(answer, raw.headers)
            check(told, form, limited=True)

        await together_async(FORMS[5:9], ask)

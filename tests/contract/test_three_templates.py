"""Switch, budget and history for real, through the gateway: the templates of three models, on both engines.

`tiny` can be switched, the template of `tiny-thinking` opens the thought itself, `tiny-instruct` has no thoughts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import openai
import pytest

from tests import plain_http
from tests.contract.backend import INSTRUCT_MODEL, MODEL, THINKING_MODEL
from tests.contract.prompts import long_thought
from tests.contract.trio import Trio
from tests.gateway.running import RunningGateway

CLIENT = {"policy": {"kind": "client", "default_effort": "max"}, "levels": {"low": 32}, "answer_allowance": 64}
MODELS: dict[str, Any] = {
    "hybrid": {"deployment": MODEL, **CLIENT},
    "thinking": {"think": THINKING_MODEL, **CLIENT},
    "instruct": {"none": INSTRUCT_MODEL, **CLIENT},
    "pair": {"none": INSTRUCT_MODEL, "think": THINKING_MODEL, **CLIENT},
}
THOUGHT = "I look at the weather of Paris first, and then at that of Rome, since both were asked for."
QUESTION = {"role": "user", "content": "How warm is it in Paris?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "21 degrees"}


@pytest.fixture(scope="module")
def gateway(trio: Trio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with trio.gateway(tmp_path_factory.mktemp("templates"), **MODELS) as running:
        yield running


@pytest.fixture(scope="module")
def client(gateway: RunningGateway) -> Iterator[openai.OpenAI]:
    with gateway.sdk() as sdk:
        yield sdk


def ask(client: openai.OpenAI, model: str, budget: int | None = None, **fields: Any) -> tuple[Any, int]:
    """The message, and how many tokens were thought."""
    body = {} if budget is None else {"thinking_token_budget": budget}
    fields = {"messages": long_thought(), "temperature": 0, **fields}
    answer = client.chat.completions.create(model=model, extra_body=body, **fields)
    assert answer.usage is not None and answer.choices[0].message.content
    details = answer.usage.completion_tokens_details
    return answer.choices[0].message, (details.reasoning_tokens or 0) if details else 0


def test_the_switch(client: openai.OpenAI) -> None:
    for model in ("hybrid", "pair"):
        quiet, used = ask(client, model, reasoning_effort="none")
        assert used == 0 and not getattr(quiet, "reasoning", None)
        loud, used = ask(client, model)
        assert used > 0 and loud.reasoning.strip()


def test_what_cannot_be_switched_says_so(client: openai.OpenAI, gateway: RunningGateway) -> None:
    with pytest.raises(openai.BadRequestError, match="cannot turn thinking off") as refused:
        ask(client, "thinking", reasoning_effort="none")
    assert (refused.value.param, refused.value.code) == ("reasoning_effort", "unsupported_value")
    thought, used = ask(client, "thinking", reasoning_effort="low")
    assert 0 < used <= 32 and thought.reasoning
    body = {"model": "instruct", "messages": long_thought(), "reasoning_effort": "low"}
    answer = gateway.post(body)
    assert answer.status_code == 200 and answer.headers["x-thinkgate-effort"] == "none"
    assert "does not offer 32: applied none" in answer.headers["x-thinkgate-note"]
    assert not answer.json()["choices"][0]["message"].get("reasoning")


@pytest.mark.parametrize("budget", [0, 1, 2, 7, 30])
def test_the_budget(client: openai.OpenAI, budget: int) -> None:
    """All of it is used by a thought that would be longer; the newline of the second template is part of it."""
    assert ask(client, "hybrid", budget)[1] == budget
    assert ask(client, "pair", budget)[1] == max(budget - 1, 0)
    if budget:
        assert ask(client, "thinking", budget)[1] == budget - 1


def prompt_tokens(client: openai.OpenAI, model: str, messages: list[Any], effort: str) -> int:
    answer = client.chat.completions.create(
        model=model, messages=messages, reasoning_effort=effort, max_tokens=300, temperature=0
    )  # type: ignore[call-overload]
    assert answer.usage is not None
    return int(answer.usage.prompt_tokens)


def rendered(trio: Trio, model: str, messages: list[Any], **more: Any) -> int:
    """How long the engine itself says that the prompt is."""
    told = plain_http.post(f"{trio.urls[model]}/tokenize", json={"model": model, "messages": messages, **more})
    return int(told.json()["count"])


def loop(thought: Mapping[str, str]) -> list[Any]:
    """In the middle of a tool loop."""
    return [QUESTION, {"role": "assistant", "content": "", "tool_calls": [CALL], **thought}, RESULT]


def finished(thought: Mapping[str, str]) -> list[Any]:
    """After it, with another question."""
    return [*loop({}), {"role": "assistant", "content": "21 degrees.", **thought}, {"role": "user", "content": "Rome?"}]


# Which deployment a request reaches, and what else its template is told.
REACHED = [
    ("hybrid", "low", MODEL, {}),
    ("hybrid", "none", MODEL, {"chat_template_kwargs": {"enable_thinking": False}}),
    ("thinking", "low", THINKING_MODEL, {}),
    ("pair", "low", THINKING_MODEL, {}),
    ("pair", "none", INSTRUCT_MODEL, {}),
]


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize(("model", "effort", "deployment", "more"), REACHED)
def test_a_thought_of_a_tool_loop_reaches_the_prompt(
    trio: Trio, client: openai.OpenAI, model: str, effort: str, deployment: str, more: Any, name: str
) -> None:
    """Also when the conversation was had with another model: what is kept is decided by who answers now."""
    without = prompt_tokens(client, model, loop({}), effort)
    kept = prompt_tokens(client, model, loop({name: THOUGHT}), effort)
    assert without == rendered(trio, deployment, loop({}), **more)
    # vLLM itself drops a thought that comes under its old name.
    assert kept == rendered(trio, deployment, loop({"reasoning": THOUGHT}), **more) > without + 10


@pytest.mark.parametrize(("model", "effort", "deployment", "more"), REACHED)
def test_a_thought_of_an_earlier_turn_is_dropped_where_the_template_strips_it(
    trio: Trio, client: openai.OpenAI, model: str, effort: str, deployment: str, more: Any
) -> None:
    without = prompt_tokens(client, model, finished({}), effort)
    assert prompt_tokens(client, model, finished({"reasoning": THOUGHT}), effort) == without
    assert rendered(trio, deployment, finished({"reasoning": THOUGHT}), **more) == without


def test_the_same_loop_in_the_words_of_responses(client: openai.OpenAI) -> None:
    """What one dialect says reaches the same prompt as in the other."""
    thought: Any = {"type": "reasoning", "id": "rs_1", "summary": []}
    thought["content"] = [{"type": "reasoning_text", "text": THOUGHT}]
    call: Any = {"type": "function_call", "call_id": "c1", **CALL["function"]}  # type: ignore[dict-item]
    result: Any = {"type": "function_call_output", "call_id": "c1", "output": RESULT["content"]}
    for items, messages in (
        ([QUESTION, thought, call, result], loop({"reasoning": THOUGHT})),
        ([QUESTION, call, result], loop({})),
    ):
        answer = client.responses.create(
            model="hybrid", input=items, reasoning={"effort": "low"}, max_output_tokens=300, temperature=0
        )
        assert answer.usage is not None
        assert answer.usage.input_tokens == prompt_tokens(client, "hybrid", messages, "low")

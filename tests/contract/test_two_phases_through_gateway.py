"""What discovery finds out about both engines, and that two phases give the text of their own budgets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import assembly
from gateway.app import make_parts
from gateway.backends.capabilities import Capability, Marks
from gateway.backends.discovery import report
from gateway.config.settings import parse
from tests.contract.backend import Backend
from tests.contract.prompts import long_thought, prompts, token_id
from tests.gateway.running import RunningGateway

# As the engines end thoughts that have spent their budget: with the bare mark.
FAMILIES = {"qwen3": {"end_text": "</think>\n\n"}}
FORM = {
    "type": "json_schema",
    "json_schema": {"name": "parity", "schema": {"type": "string", "enum": ["even", "odd"]}},
}


def _table(backend: Backend, verify: bool = False) -> dict[str, Any]:
    return {
        "families": FAMILIES,
        "deployments": {"tiny": {"url": backend.url, "family": "qwen3", "verify": verify}},
        "models": {"reasoner": {"deployment": "tiny", "policy": {"kind": "client", "default_effort": "max"}}},
    }


def test_a_deployment_is_what_its_family_says(backend: Backend) -> None:
    settings = parse(_table(backend, verify=True))
    lines, disagrees = report.verify(assembly.deployments(settings).values())
    assert lines == [
        f"Verified tiny at {backend.url}/v1: as family qwen3 says; it enforces budgets itself; "
        "it reports thinking tokens.",
        "Verification OK: 1 backend asked.",
    ]
    assert not disagrees


@pytest.fixture
def pair(backend: Backend, tmp_path: Path) -> Iterator[list[RunningGateway]]:
    """A gateway that keeps budgets itself, and one that leaves them to the engine."""
    ends = token_id(backend, "</think>")
    marks = Marks((token_id(backend, "<think>"),), (ends,), (), (token_id(backend, "\n\n"),))
    parts = []
    for name in ("kept", "native"):
        parts.append(make_parts(parse({**_table(backend), "records": {"path": tmp_path / f"{name}.db"}})))
    parts[0].capabilities.learn("tiny", Capability("two-phase", marks))
    with RunningGateway.of(parts[0]) as kept, RunningGateway.of(parts[1]) as native:
        yield [kept, native]


def _told(gateway: RunningGateway, messages: Any, **fields: Any) -> list[Any]:
    with gateway.sdk() as client:
        request = {"model": "reasoner", "messages": messages, "temperature": 0, "max_tokens": 400, **fields}
        answer = client.chat.completions.create(**request)
    choice, usage = answer.choices[0], answer.usage
    assert usage is not None and usage.completion_tokens_details is not None
    used = usage.completion_tokens_details.reasoning_tokens
    thought = getattr(choice.message, "reasoning", None)
    return [thought, choice.message.content, choice.finish_reason, usage.prompt_tokens, usage.completion_tokens, used]


def test_two_phases_give_the_text_of_a_native_budget(pair: list[RunningGateway]) -> None:
    tasks = [prompt.messages for prompt in prompts() if prompt.kind == "reasoning"][:12]
    for number, messages in enumerate(tasks):
        budget = {"thinking_token_budget": 2 + 3 * number}
        kept, native = (_told(gateway, messages, extra_body=budget) for gateway in pair)
        assert kept == native
        assert kept[-1] <= 2 + 3 * number


@pytest.mark.parametrize(
    "fields", [{"max_tokens": 12}, {"max_tokens": None}, {"response_format": FORM}, {"stop": ["="]}]
)
def test_what_a_request_says_holds_in_both_phases(pair: list[RunningGateway], fields: dict[str, Any]) -> None:
    kept, native = (
        _told(gateway, long_thought(), extra_body={"thinking_token_budget": 8}, **fields) for gateway in pair
    )
    assert kept == native

"""The OpenAPI document says what is so: schemathesis sends what it allows and what it does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis import APIOperation, Case, GenerationMode

from gateway.api import checks, known_fields
from gateway.api.openapi import documents
from gateway.core.call import LIMIT_FIELDS
from gateway.core.efforts import LEVELS
from gateway.families.fields import EFFORT_FIELDS
from tests.gateway.anthropics import COUNT, MESSAGES, sensible
from tests.gateway.bounded import thorough, whole
from tests.gateway.conftest import table
from tests.gateway.raw_prompts import raw
from tests.gateway.response_bodies import sensible_response
from tests.gateway.running import ServedGateway
from tests.gateway.scripted import Connection, ScriptedBackend, obedient
from tests.patience import PATIENCE_S

# The fields in which an effort can be named: two of them may contradict each other.
WAYS = sorted({name.partition(".")[0] for name in EFFORT_FIELDS})
DOCUMENT = documents.clients("0", keyed=False, metrics=True)
OPERATIONS = {found.ok().label: found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    with (
        ScriptedBackend(_any_route) as backend,
        ServedGateway(table(backend.url), tmp_path_factory.mktemp("api")) as running,
    ):
        yield running


@thorough
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_what_is_allowed_is_answered_as_described(
    gateway: ServedGateway, operation: APIOperation, examples: settings
) -> None:
    @examples
    @given(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def check(case: Case) -> None:
        if isinstance(case.body, dict):
            case.body = _without_other_words(operation.path, case.body)
            case.body = SENSIBLE.get(operation.path, lambda body: body)(case.body)
        if operation.path == "/v1/models":
            # A model that is there, and one direction.
            case.query = {**(case.query or {}), "after_id": "split"}
            case.query.pop("before_id", None)
        case.call_and_validate(base_url=gateway.url, timeout=PATIENCE_S)

    check()


@thorough
@pytest.mark.parametrize(
    "operation", [found for found in OPERATIONS.values() if found.body], ids=lambda each: each.path
)
def test_what_is_not_allowed_is_refused_as_described(
    gateway: ServedGateway, operation: APIOperation, examples: settings
) -> None:
    @examples
    @given(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def check(case: Case) -> None:
        case.call_and_validate(base_url=gateway.url, timeout=PATIENCE_S)

    check()


def _without_other_words(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Without fields that the document does not name, where they are words: Hypothesis takes words out of the code, and
    a field that the gateway reads after all, such as one for streams alone, is not further described.
    """
    described = DOCUMENT["paths"].get(path, {}).get("post", {}).get("requestBody", {}).get("content", {})
    schema = described.get("application/json", {}).get("schema", {})
    schema = DOCUMENT["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
    named = schema.get("properties", body)
    return {name: value for name, value in body.items() if name in named or not re.fullmatch(r"[A-Za-z_]+", name)}


def _sensible(body: dict[str, Any]) -> dict[str, Any]:
    """What no schema can say: a model that exists, whole numbers without a point, one effort, and room for it."""
    body = whole(body)
    ways = [name for name in WAYS if body.get(name) is not None]
    for name in ways[1:]:
        del body[name]
    for name in LIMIT_FIELDS if ways else ():
        body.pop(name, None)
    for outer, inner in (("reasoning", "effort"), ("chat_template_kwargs", "enable_thinking")):
        if outer in ways[:1]:
            body[outer] = {inner: body[outer].get(inner)}
    return {**body, "model": "merged"}


async def _any_route(connection: Connection) -> None:
    passed = connection.request.path.endswith(("/v1/completions", "/embeddings"))
    await (raw if passed else obedient)(connection)


# What is made of a body, by its route.
SENSIBLE: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "/v1/chat/completions": _sensible,
    "/v1/decide": _sensible,
    "/v1/completions": lambda body: {**whole(body), "model": "merged"},
    "/v1/embeddings": lambda body: {**whole(body), "model": "merged"},
    "/v1/responses": lambda body: sensible_response(_sensible(body)),
    MESSAGES: sensible,
    COUNT: sensible,
}


def test_the_document_is_served(gateway: ServedGateway) -> None:
    told = gateway.get("/openapi.json").json()
    assert told["paths"] == DOCUMENT["paths"] and told["components"] == DOCUMENT["components"]
    fields = told["components"]["schemas"]["ChatRequest"]["properties"]
    assert {"reasoning_effort", "thinking_token_budget", "thinkgate"} <= set(fields)


def test_limits_and_words_are_those_of_the_code() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    chat, message = schemas["ChatRequest"]["properties"], schemas["MessagesRequest"]["properties"]
    assert chat["n"]["maximum"] == checks.MOST_CHOICES and chat["max_tokens"]["maximum"] == checks.MOST_TOKENS
    assert chat["thinking_token_budget"]["maximum"] == checks.MOST_THINKING
    assert chat["reasoning_effort"]["enum"] == ["auto", *LEVELS, None]
    assert message["output_config"]["properties"]["effort"]["enum"] == ["auto", *LEVELS, None]
    assert known_fields.CHAT_FIELDS.keys() <= chat.keys()
    # Nothing is left that stands for a value.
    assert not [
        text for document in (DOCUMENT, documents.operators("0")) for text in _texts(document) if text[:1] == "$"
    ]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)

"""What clients send: whatever it is, it is understood or it is an error that says what is wrong."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway import assembly
from gateway.api import asgi, json_object
from gateway.api.chat.request import read_call
from gateway.api.dialect import ParsedRequest
from gateway.auth.principal import ANONYMOUS
from gateway.backends.conversation import conversation
from gateway.backends.latency import latency_models_of
from gateway.backends.replicas import Replicas
from gateway.config.settings import parse
from gateway.core.errors import GatewayError
from gateway.routing.catalogue import Catalogue
from tests.fuzz.bodies import bodies
from tests.gateway.bounded import QUICK
from tests.gateway.conftest import table
from tests.gateway.plans import plans

MODELS = ["merged", "split", "unrouted", "bounded", "fixed", "plain"]
LATIN = st.text(st.characters(max_codepoint=255), max_size=200)


@cache
def catalogue() -> Catalogue:
    settings = parse(table("http://127.0.0.1:1/v1"))
    known = assembly.deployments(settings)
    return assembly.catalogue(settings, known, latency_models_of(known.values()))


@QUICK
@given(bodies(MODELS))
def test_any_body_becomes_a_plan_or_an_error(body: dict[str, Any]) -> None:
    raw = orjson.dumps(body)
    try:
        call = read_call(ParsedRequest(json_object.read(raw, 64), len(raw), {}, "id", ANONYMOUS), catalogue(), 1000)
    except GatewayError as error:
        assert 400 <= error.status < 500 and orjson.loads(error.body())["error"]["message"]
        return
    for plan, sent in plans(call, catalogue().find(call.model)):
        assert sent["messages"] == body["messages"] and sent["model"] == plan.deployment.model
    assert Replicas(("http://a", "http://b")).pick(conversation(call)) is not None


@QUICK
@given(st.binary(max_size=300))
def test_any_bytes_are_a_body_or_an_error(raw: bytes) -> None:
    try:
        assert isinstance(json_object.read(raw, 64), dict)
    except GatewayError as error:
        assert error.status == 400


@QUICK
@given(st.integers(0, 3000), st.sampled_from([b"[", b'{"a":', b'[{"a":']))
def test_any_nesting_is_read_or_refused(depth: int, opening: bytes) -> None:
    raw = b'{"messages":' + opening * depth
    closing = opening.replace(b'"a":', b"").translate(bytes.maketrans(b"[{", b"]}"))[::-1]
    for body in (raw, raw + b"1" + closing * depth + b"}"):
        try:
            orjson.dumps(json_object.read(body, 64))
        except GatewayError as error:
            assert error.status == 400


@QUICK
@given(LATIN, LATIN, LATIN, LATIN)
def test_any_headers_are_taken_or_left(id: str, traceparent: str, tracestate: str, count: str) -> None:
    headers = {
        "x-request-id": id,
        "traceparent": traceparent,
        "tracestate": tracestate,
        "x-stainless-retry-count": count,
    }
    given_id = asgi.client_request_id(headers)
    assert given_id is None or given_id == id
    assert 0 <= asgi.client_retries(headers) < 1000
    for value in asgi.forwarded(headers, given_id or "ours").values():
        assert re.fullmatch(r"[\x20-\x7e]+", value), "what goes on to a backend is printable"

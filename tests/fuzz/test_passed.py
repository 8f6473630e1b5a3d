"""Raw prompts, and pages of models: whatever is asked, it is understood or it is an error that says what is wrong."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from gateway.api import json_object, models
from gateway.api.dialect import ParsedRequest
from gateway.api.passthrough import READERS
from gateway.auth.principal import ANONYMOUS
from gateway.backends.conversation import conversation
from gateway.backends.replicas import Replicas
from gateway.core.errors import GatewayError, InvalidRequest
from gateway.families.passthrough import pass_on
from tests.fuzz.bodies import SCALARS, VALUES, bodies
from tests.fuzz.test_requests import MODELS, catalogue
from tests.gateway.bounded import QUICK

IDS = st.lists(st.integers(0, 5000), max_size=4)
PROMPTS = st.text(max_size=8) | IDS | st.lists(st.text(max_size=8) | IDS, max_size=4) | VALUES
RAW = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(["prompt", "input"], PROMPTS),
        **dict.fromkeys(["best_of", "max_tokens", "dimensions", "logprobs"], st.integers(-2, 300) | SCALARS),
        **dict.fromkeys(["prompt_embeds", "suffix", "encoding_format", "reasoning"], SCALARS),
    },
)
TEXTS = st.text(max_size=12) | st.sampled_from(MODELS)


@QUICK
@given(st.sampled_from([*READERS]), bodies(MODELS), RAW)
def test_any_raw_prompt_becomes_a_plan_or_an_error(dialect: str, body: dict[str, Any], more: dict[str, Any]) -> None:
    for name in ("reasoning_effort", "thinkgate", "n", "stream_options"):
        body.pop(name, None)  # or nearly all would be refused
    raw = orjson.dumps({**body, **more})
    try:
        call = READERS[dialect](ParsedRequest(json_object.read(raw, 64), len(raw), {}, "id", ANONYMOUS))
        model = catalogue().find(call.model)
    except GatewayError as error:
        assert 400 <= error.status < 500 and orjson.loads(error.body())["error"]["message"]
        return
    assert call.choices >= 1 and (call.limit is None or call.limit >= 0)
    for arm in model.arms:
        plan = pass_on(call, arm)
        sent = orjson.loads(orjson.dumps(plan.body))
        assert plan.applied is None and plan.tokens >= 0
        changed = {name for name in {*sent, *call.body} if sent.get(name) != orjson.loads(raw).get(name)}
        assert changed <= {"model", "stream_options"}
    assert Replicas(("http://a", "http://b")).pick(conversation(call)) is not None


@QUICK
@given(st.dictionaries(st.sampled_from(["limit", "after_id", "before_id", "x"]), st.integers().map(str) | TEXTS))
def test_any_query_is_a_page_or_an_error(query: dict[str, str]) -> None:
    try:
        page = models._page([*catalogue()], QueryParams(query), lambda model: {"id": model.name})
    except InvalidRequest as error:
        assert error.param in query
        return
    ids = [model["id"] for model in page["data"]]
    assert ids == [name for name in MODELS if name in ids] and len(ids) <= int(query.get("limit", "1000"))
    assert page["has_more"] <= bool(ids)

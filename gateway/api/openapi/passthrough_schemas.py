"""Raw completions, embeddings and the list of models in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from gateway.api.checks import MOST_CHOICES, MOST_TOKENS
from gateway.api.known_fields import OF_COMPLETIONS, OF_EMBEDDINGS
from gateway.api.models import MOST_ON_A_PAGE
from gateway.api.openapi.schemas import kinds_of
from gateway.api.passthrough import OF_A_CHAT
from gateway.core.efforts import LEVELS

Json = dict[str, Any]


def paths(responses: Json, error: Json) -> Json:
    """`responses` are those of a chat, which are told for other reasons and otherwise alike; `error` is any other."""
    return {
        "/v1/completions": {"post": _post("A completion of a raw prompt", "Completion", responses, streams=True)},
        "/v1/embeddings": {"post": _post("Vectors of texts", "Embedding", responses)},
        "/v1/models": {"get": {**_get("The models that the client may use", "Models", error), "parameters": _PAGE}},
        "/v1/models/{name}": {"get": {**_get("One model", "Model", error), "parameters": [_NAME]}},
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(**schema: Any) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def _object(**properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}


def _post(summary: str, name: str, responses: Json, streams: bool = False) -> Json:
    content: Json = {"application/json": {"schema": _ref(f"{name}Answer")}}
    if streams:
        content["text/event-stream"] = {}
    done = {"description": "As the backend gave it, but for the model's public name", "content": content}
    return {
        "summary": summary,
        "description": "It goes to the backend as it is, and nothing is decided about it. A raw answer may be all "
        "thought where the model can think, and is counted so for keys that have a quota of thinking.",
        "tags": ["Passed on"],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(f"{name}Request")}}},
        "responses": {**responses, "200": done},
    }


def _get(summary: str, name: str, error: Json) -> Json:
    told = {"description": summary, "content": {"application/json": {"schema": _ref(name)}}}
    return {"summary": summary, "tags": ["Models"], "responses": {"200": told, "default": error}}


def _query(name: str, description: str, **schema: Any) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema}


_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_PAGE = [
    _query("limit", "How many at most; all if left out", type="integer", minimum=1, maximum=MOST_ON_A_PAGE),
    _query("after_id", "Those after this model", type="string"),
    _query("before_id", "Those before this model; not with after_id", type="string"),
]
_IDS: Json = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}}
_PROMPT: Json = {
    "description": "A text, the ids of its tokens, or a list of either",
    "anyOf": [
        {"type": "string"},
        _IDS,
        {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "string"}, _IDS]}},
    ],
}
_NO_EFFORT: Json = {name: {"type": "null"} for name in OF_A_CHAT}
_SUPPORT = _object(supported={"type": "boolean"})
_EFFORT = _object(supported={"type": "boolean"}, **dict.fromkeys(("low", "medium", "high", "xhigh", "max"), _SUPPORT))
_TYPES = _object(**dict.fromkeys(("adaptive", "between_tools", "disabled", "enabled"), _SUPPORT))
_EFFORT_NAME: Json = {"enum": [*LEVELS]}

SCHEMAS: Json = {
    "CompletionRequest": {
        "type": "object",
        "description": "Further fields are the backend's to judge, and go to it as they are; those that ask a chat for "
        "an effort are refused.",
        "required": ["model", "prompt"],
        "properties": {
            "model": {"type": "string", "minLength": 1},
            "prompt": _PROMPT,
            "max_tokens": _or_null(type="integer", minimum=0, maximum=MOST_TOKENS),
            "n": _or_null(type="integer", minimum=1, maximum=MOST_CHOICES),
            "best_of": _or_null(type="integer", minimum=1, maximum=MOST_CHOICES),
            "stream": _or_null(type="boolean"),
            "stream_options": _or_null(type="object", properties={"include_usage": _or_null(type="boolean")}),
            **kinds_of(OF_COMPLETIONS),
            **_NO_EFFORT,
        },
    },
    "CompletionAnswer": {
        "type": "object",
        "required": ["model", "choices"],
        "properties": {"model": {"type": "string"}, "choices": {"type": "array"}},
    },
    "EmbeddingRequest": {
        "type": "object",
        "description": "Further fields are the backend's to judge. Some engines also take `messages` for `input`.",
        "required": ["model", "input"],
        "properties": {
            "model": {"type": "string", "minLength": 1},
            "input": _PROMPT,
            **kinds_of(OF_EMBEDDINGS),
            **_NO_EFFORT,
        },
    },
    "EmbeddingAnswer": {
        "type": "object",
        "required": ["model", "data"],
        "properties": {"model": {"type": "string"}, "data": {"type": "array"}},
    },
    "Models": _object(
        object={"const": "list"},
        data={"type": "array", "items": _ref("Model")},
        has_more={"type": "boolean"},
        first_id={"type": ["string", "null"]},
        last_id={"type": ["string", "null"]},
    ),
    "Model": _object(
        id={"type": "string"},
        object={"const": "model"},
        created={"type": "integer", "description": "When the gateway started, in Unix seconds"},
        owned_by={"const": "thinkgate"},
        type={"const": "model"},
        display_name={"type": "string"},
        created_at={"type": "string", "format": "date-time"},
        lifecycle={"const": "active"},
        max_input_tokens={"type": ["integer", "null"]},
        max_tokens={"type": ["integer", "null"]},
        capabilities={
            "type": "object",
            "description": "As Anthropic's clients read it; an effort is supported that is kept as it was named",
            "required": ["effort", "thinking"],
            "properties": {
                "effort": _EFFORT,
                "thinking": _object(supported={"type": "boolean"}, types=_TYPES),
            },
        },
        reasoning={
            "description": "As OpenRouter's clients read it",
            **_object(
                mandatory={"type": "boolean"},
                default_effort={"description": "null: it is decided for each request", "enum": [*LEVELS, None]},
                default_enabled={"type": "boolean"},
                supported_efforts={"type": "array", "items": _EFFORT_NAME},
                supports_max_tokens={"type": "boolean"},
            ),
        },
    ),
}

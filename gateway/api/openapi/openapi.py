"""The OpenAPI document: every route as it is, built once. What only a backend can judge is left open in it."""

from __future__ import annotations

from typing import Any, Literal

from gateway.api.openapi import messages, passthrough_schemas, responses
from gateway.api.openapi.schemas import SCHEMAS

Json = dict[str, Any]


def document(version: str, keyed: bool, metrics: bool | Literal["open"]) -> Json:
    """`keyed`: clients need a key; `metrics`: they are served here, `open`: to anybody."""
    paths: Json = {
        "/v1/chat/completions": {"post": _CHAT},
        **messages.paths(_HEADERS, _STATUSES),
        **responses.paths(_CHAT["responses"]),
        **passthrough_schemas.paths(_CHAT["responses"], _ERROR),
        "/health": {"get": {**_get("Whether the process lives", _STATUS, "Operations"), "security": []}},
        "/ready": {"get": _READY},
    }
    if metrics:
        text = {"text/plain": {"schema": {"type": "string"}}}
        told = {"200": {"description": "In Prometheus' text format", "content": text}}
        anybody: Json = {"security": []} if metrics == "open" else {}
        paths["/metrics"] = {"get": {"summary": "What is counted", "tags": ["Operations"], "responses": told} | anybody}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Thinkgate", "version": version, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": SCHEMAS | messages.SCHEMAS | responses.SCHEMAS | passthrough_schemas.SCHEMAS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    } | ({"security": [{"key": []}]} if keyed else {})


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _get(summary: str, schema: Json, tag: str) -> Json:
    return {"summary": summary, "tags": [tag], "responses": {"200": _json(summary, schema), "default": _ERROR}}


_ABOUT = (
    "Chat completions and responses as OpenAI speaks them, messages as Anthropic does. How hard the model thinks is "
    "decided for each request, unless the client says it: in any of the usual fields, which must not contradict each "
    "other."
)
_ERROR = _json(
    "An error: of the client (4xx), of the gateway's own (500), or of the backend, with its own status and words",
    {"$ref": "#/components/schemas/Error"},
)
_STATUS = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}
_READY = {
    "summary": "Whether requests can be answered",
    "tags": ["Operations"],
    "security": [],
    "responses": {
        "200": _json("Every deployment answers", _STATUS),
        "503": _json("Some deployment does not, or the gateway is stopping", _STATUS),
    },
}
_TEXT = {"schema": {"type": "string"}}
_HEADERS = {
    "x-request-id": _TEXT | {"description": "The client's own if it sent one, else the gateway's"},
    "x-thinkgate-effort": _TEXT | {"description": "The level that was applied; unknown where the family has none"},
    "x-thinkgate-budget": _TEXT | {"description": "Thinking tokens at most, or unlimited"},
    "x-thinkgate-reason": _TEXT | {"description": "client, router, probe, policy, sticky, fallback or load"},
    "x-thinkgate-arm": _TEXT | {"description": "The arm of an experiment, or how the model is served"},
    "x-thinkgate-router": _TEXT | {"description": "The version of the router that forecast"},
    "x-thinkgate-note": _TEXT | {"description": "What could not be told to the backend as it was asked"},
    "x-upstream-request-id": _TEXT | {"description": "The backend's own id, if it has one"},
}
_STATUSES = {
    400: "The request is wrong: `param` says where",
    401: "No key, or none that is valid",
    403: "The key may not use this model or effort",
    404: "There is no such model",
    408: "The request did not arrive in time",
    413: "The request is too large",
    429: "Too much at a time, or a limit of the key: Retry-After says when to come back",
    431: "The request's head is too large",
    500: "The gateway failed",
    502: "No backend could answer",
    503: "The gateway is stopping, or the backend has no room",
    504: "The backend did not answer in time",
}
_CHAT: Json = {
    "summary": "A chat completion",
    "tags": ["Chat"],
    "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("ChatRequest")}}},
    "responses": {
        "200": {
            "description": "The answer: whole, or as a stream of server-sent events that ends in [DONE] or in an error",
            "headers": _HEADERS,
            "content": {
                "application/json": {"schema": _ref("ChatCompletion")},
                "text/event-stream": {},
            },
        },
        **{str(status): _json(what, _ref("Error")) for status, what in _STATUSES.items()},
        "default": _ERROR,
    },
}

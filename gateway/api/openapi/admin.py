"""The OpenAPI document of the operators' port."""

from __future__ import annotations

from typing import Any

from gateway.api.openapi.schemas import SCHEMAS
from gateway.auth.limits import NewKey, Rotation

Json = dict[str, Any]


def document(version: str) -> Json:
    return {
        "openapi": "3.1.0",
        "info": {"title": "Thinkgate admin", "version": version, "description": "Keys, and what each has used."},
        "paths": {
            "/keys": {
                "get": _operation("Every key", {"200": _json("Oldest first", _ref("Keys"))}),
                "post": _operation("A new key", {"201": _json("With its secret, which is told once", _ref("Secret"))})
                | _body(NewKey, required=True),
            },
            "/keys/{id}": {"parameters": [_ID], "get": _operation("One key", {"200": _json("The key", _ref("Key"))})},
            "/keys/{id}/rotate": {
                "parameters": [_ID],
                "post": _operation("A new secret for a key", {"200": _json("Told once", _ref("Secret"))})
                | _body(Rotation, required=False),
            },
            "/keys/{id}/revoke": {
                "parameters": [_ID],
                "post": _operation("Take a key out of use, for good", {"200": _json("The key", _ref("Key"))}),
            },
            "/keys/{id}/data": {
                "parameters": [_ID],
                "delete": {
                    "parameters": [_USER, _ANONYMISE],
                    **_operation("Remove what is kept of a key or of its user", {"200": _json("How much", _ERASED)}),
                },
            },
            "/audit": {
                "get": _operation("What operators have done", {"200": _json("The latest first", _ref("Audit"))}),
            },
            "/routers/reload": {
                "post": _operation(
                    "Read router artifacts again (with several workers the configuration); a bad one changes nothing",
                    {"200": _json("What each model is served with from now on", _ref("Routers"))},
                ),
            },
            "/metrics": {"get": _operation("What is counted, in Prometheus' text format", {"200": _METRICS})},
            "/health": {"get": {"summary": "Whether the process lives", "security": [], "responses": {"200": _HEALTH}}},
        },
        "components": {
            "schemas": {"Error": SCHEMAS["Error"], **_SCHEMAS},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _operation(summary: str, answers: Json) -> Json:
    return {"summary": summary, "responses": {**answers, "default": _json("An error", _ref("Error"))}}


def _body(kind: type[NewKey] | type[Rotation], required: bool) -> Json:
    schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_USER = {"name": "user", "in": "query", "schema": {"type": "string"}, "description": "Only what is kept of this one"}
_ANONYMISE = {
    "name": "anonymise",
    "in": "query",
    "schema": {"type": "boolean"},
    "description": "Keep the records, as of nobody",
}
_ERASED = {
    "type": "object",
    "required": ["id", "records", "responses", "anonymised"],
    "properties": {
        "id": {"type": "string"},
        "records": {"type": "integer"},
        "responses": {"type": "integer"},
        "anonymised": {"type": "boolean"},
    },
}
_METRICS = {"description": "What is counted", "content": {"text/plain": {"schema": {"type": "string"}}}}
_HEALTH = _json("It does", {"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]})
_TIME = {"type": ["number", "null"], "description": "In seconds since 1970; null: never"}
_KEY: Json = {
    "type": "object",
    "required": ["id", "name", "state", "created", "expires", "revoked", "secrets", "limits", "usage"],
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string"},
        "state": {"enum": ["live", "expired", "revoked"]},
        "created": {"type": "number"},
        "expires": _TIME,
        "revoked": _TIME,
        "secrets": {"type": "integer", "description": "How many are taken now"},
        "limits": {"$ref": "#/components/schemas/Limits"},
        "usage": {"type": "object"},
    },
}
_SCHEMAS: Json = {
    **NewKey.model_json_schema(ref_template="#/components/schemas/{model}")["$defs"],
    "Key": _KEY,
    "Secret": {
        **_KEY,
        "required": [*_KEY["required"], "secret"],
        "properties": {**_KEY["properties"], "secret": {"type": "string"}},
    },
    "Routers": {
        "type": "object",
        "required": ["object", "models"],
        "properties": {
            "object": {"const": "routers"},
            "models": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    },
    "Audit": {
        "type": "object",
        "required": ["object", "data"],
        "properties": {
            "object": {"const": "list"},
            "data": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["time", "who", "action", "key"],
                    "properties": {
                        "time": {"type": "number", "description": "In seconds since 1970"},
                        "who": {"type": "string"},
                        "action": {"type": "string"},
                        "key": {"type": ["string", "null"], "description": "The id of the key that it was done to"},
                    },
                },
            },
        },
    },
    "Keys": {
        "type": "object",
        "required": ["object", "data"],
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Key"}},
        },
    },
}

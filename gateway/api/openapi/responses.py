"""The Responses dialect in the OpenAPI document: its paths and its schemas."""

from __future__ import annotations

from typing import Any

from gateway.api.checks import MOST_THINKING, MOST_TOKENS
from gateway.api.responses import options
from gateway.api.responses.input_items import DETAILS, ROLES
from gateway.api.responses.routes import MOST_LISTED
from gateway.core.efforts import LEVELS
from gateway.families.compiler import ACCOUNT

Json = dict[str, Any]


def paths(answers: Json) -> Json:
    """`answers` are the responses of a route that asks a backend, errors and all, of which 200 is told anew."""
    made = {
        "description": "The response: whole, or as a stream of server-sent events that ends in response.completed, "
        "response.incomplete, or in an error and response.failed",
        "headers": answers["200"]["headers"],
        "content": {"application/json": {"schema": _ref("Response")}, "text/event-stream": {}},
    }
    create = {
        "summary": "A response",
        "tags": ["Responses"],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("ResponseRequest")}}},
        "responses": {**answers, "200": made},
    }
    query = [
        _query("limit", {"type": "integer", "minimum": 1, "maximum": MOST_LISTED}),
        _query("order", {"enum": ["asc", "desc"]}),
        _query("after", {"type": "string"}, "The id of the item that came last"),
    ]
    included = _query("include[]", {"type": "array", "items": {"enum": [*options.INCLUDABLE, ACCOUNT]}})
    one = {"parameters": [_ID]}
    return {
        "/v1/responses": {"post": create},
        "/v1/responses/{response_id}": {
            "get": _kept("A response that was kept", _ref("Response"), answers) | {"parameters": [_ID, included]},
            "delete": _kept("Its removal", _ref("DeletedResponse"), answers) | one,
        },
        "/v1/responses/{response_id}/input_items": {
            "get": _kept("What the model was told", _ref("ResponseItems"), answers) | {"parameters": [_ID, *query]}
        },
        "/v1/responses/{response_id}/cancel": {
            "post": {
                "summary": "Refused: only what is made in the background can be cancelled, and nothing is",
                "tags": ["Responses"],
                "parameters": [_ID],
                "responses": {name: answers[name] for name in ("400", "401", "404", "default")},
            }
        },
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(**schema: Any) -> Json:
    kind = schema.pop("type")
    return {"type": [kind, "null"], **schema}


def _words(*known: str) -> Json:
    return {"enum": [*known, None]}


def _kept(summary: str, schema: Json, answers: Json) -> Json:
    told = {"description": summary, "content": {"application/json": {"schema": schema}}}
    errors = {name: answers[name] for name in ("400", "401", "404", "default")}
    return {"summary": summary, "tags": ["Responses"], "responses": {"200": told, **errors}}


def _query(name: str, schema: Json, description: str = "") -> Json:
    return {"name": name, "in": "query", "schema": schema} | ({"description": description} if description else {})


def _item(kind: str, required: list[str], **properties: Json) -> Json:
    return {
        "type": "object",
        "required": ["type", *required],
        "properties": {"type": {"const": kind}, "id": _or_null(type="string", maxLength=512), **properties},
    }


def _part(kind: str, **properties: Json) -> Json:
    return {"type": "object", "required": ["type", *properties], "properties": {"type": {"const": kind}, **properties}}


_ID = {"name": "response_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_TEXT: Json = {"type": "string"}
_NAME: Json = {"type": "string", "minLength": 1}
_EFFORT = {
    "enum": ["auto", *LEVELS, None],
    "description": "A level, or auto: decide for me, which is also what leaving it out says",
}
_INPUT_PARTS = {
    "anyOf": [
        _part("input_text", text=_TEXT),
        _part("input_image", image_url=_NAME, detail={"enum": list(DETAILS)}),
        _part("input_file", file_data=_NAME, filename=_NAME),
    ]
}
_SAID_PARTS = {"anyOf": [_part("output_text", text=_TEXT), _part("refusal", refusal=_TEXT)]}
_OUTPUT = {"anyOf": [_TEXT, {"type": "array", "items": _INPUT_PARTS}]}
_MESSAGE = {
    "anyOf": [
        {
            "type": "object",
            "required": ["role", "content"],
            "properties": {
                "type": {"const": "message"},
                "id": _or_null(type="string", maxLength=512),
                "role": roles,
                "content": {"anyOf": [_TEXT, {"type": "array", "items": parts}]},
            },
        }
        for roles, parts in (
            ({"enum": [role for role in ROLES if role != "assistant"]}, _INPUT_PARTS),
            ({"const": "assistant"}, _SAID_PARTS),
        )
    ]
}
_REASONING = _item(
    "reasoning",
    ["content"],
    summary=_or_null(type="array", items=_part("summary_text", text=_TEXT)),
    content={"type": "array", "minItems": 1, "items": _part("reasoning_text", text=_TEXT)},
    encrypted_content={"type": "null", "description": "As it came; then it stands for the content"},
)
_FORMAT = {
    "anyOf": [
        _part("text"),
        _part("json_object"),
        {
            "type": "object",
            "required": ["type", "name", "schema"],
            "properties": {
                "type": {"const": "json_schema"},
                "name": _NAME,
                "schema": {"type": "object"},
                "description": _or_null(type="string"),
                "strict": _or_null(type="boolean"),
            },
        },
    ]
}
_TOOL = {
    "anyOf": [
        _item(
            "function",
            ["name"],
            name=_NAME,
            description=_or_null(type="string"),
            parameters=_or_null(type="object"),
            strict=_or_null(type="boolean"),
        ),
        _item("custom", ["name"], name=_NAME, description=_or_null(type="string")),
    ]
}
SCHEMAS: Json = {
    "ResponseRequest": {
        "type": "object",
        "description": "Further fields are the backend's to judge, and go to it as they are. What OpenAI runs itself, "
        "as hosted tools, background responses and conversations, is refused.",
        "required": ["model", "input"],
        "properties": {
            "model": {"type": "string", "minLength": 1},
            "input": {
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {"type": "array", "minItems": 1, "items": _ref("ResponseInputItem")},
                ]
            },
            "instructions": _or_null(type="string", description="Not carried over from the response before"),
            "previous_response_id": _or_null(type="string", description="A response of the same key that was kept"),
            "stream": _or_null(type="boolean"),
            "store": _or_null(type="boolean", description="Whether to keep it, so that a later request can go on"),
            "reasoning": _or_null(
                type="object",
                properties={
                    "effort": _EFFORT,
                    "summary": {
                        **_words(*options.SUMMARIES),
                        "description": "Nobody summarises here: the thought itself stands where a summary would be",
                    },
                    "context": {
                        **_words(*options.CONTEXTS),
                        "description": "Which thoughts of earlier turns go back; no more than the family wants",
                    },
                },
            ),
            "thinking_token_budget": _or_null(
                type="integer", minimum=-1, maximum=MOST_THINKING, description="Thinking tokens at most; -1: unlimited"
            ),
            "thinkgate": _ref("ResponseExtension"),
            "max_output_tokens": _or_null(
                type="integer", minimum=1, maximum=MOST_TOKENS, description="Of thought and answer together"
            ),
            "max_tool_calls": _or_null(type="integer", minimum=1, maximum=MOST_TOKENS),
            "temperature": _or_null(type="number", minimum=0, maximum=2),
            "top_p": _or_null(type="number", minimum=0, maximum=1),
            "top_logprobs": _or_null(type="integer", minimum=0, maximum=options.MOST_LOGPROBS),
            "text": _or_null(
                type="object",
                additionalProperties=False,
                properties={
                    "format": {"anyOf": [_FORMAT, {"type": "null"}]},
                    "verbosity": _words("low", "medium", "high"),
                },
            ),
            "tools": _or_null(type="array", items=_TOOL),
            "tool_choice": {
                "description": "none, auto, required, or an object that names one tool, or those that are allowed"
            },
            "parallel_tool_calls": _or_null(type="boolean"),
            "include": _or_null(type="array", items={"enum": [*options.INCLUDABLE, ACCOUNT]}),
            "metadata": _or_null(
                type="object",
                description="`conversation_id` in it keeps a conversation in one arm of an experiment",
                maxProperties=options.MOST_PAIRS,
                propertyNames={"maxLength": options.LONGEST_KEY},
                additionalProperties={"type": "string", "maxLength": options.LONGEST_VALUE},
            ),
            "safety_identifier": _or_null(type="string", maxLength=options.LONGEST_ID),
            "user": _or_null(type="string"),
            "prompt_cache_key": _or_null(type="string"),
            "service_tier": _words(*options.TIERS),
            "truncation": {**_words("auto", "disabled"), "description": "Nothing is truncated, whatever it says"},
        },
    },
    "ResponseExtension": _or_null(
        type="object",
        additionalProperties=False,
        properties={
            "dial": _or_null(
                type="number",
                minimum=0,
                maximum=1,
                description="From the cheapest (0) to the best answer (1); only for models whose policy has it",
            )
        },
    ),
    "ResponseInputItem": {
        "anyOf": [
            _MESSAGE,
            _REASONING,
            _item("function_call", ["call_id", "name", "arguments"], call_id=_NAME, name=_NAME, arguments=_TEXT),
            _item("function_call_output", ["call_id", "output"], call_id=_NAME, output=_OUTPUT),
            _item("custom_tool_call", ["call_id", "name", "input"], call_id=_NAME, name=_NAME, input=_TEXT),
            _item("custom_tool_call_output", ["call_id", "output"], call_id=_NAME, output=_OUTPUT),
            _item(
                "configuration_update",
                ["reasoning"],
                reasoning={"type": "object", "required": ["effort"], "properties": {"effort": {"enum": list(LEVELS)}}},
            ),
            {
                "type": "object",
                "required": ["type", "id"],
                "properties": {"type": {"const": "item_reference"}, "id": _NAME},
            },
        ]
    },
    "Response": {
        "type": "object",
        "required": [
            "id", "object", "created_at", "status", "model", "output", "error", "incomplete_details", "reasoning",
            "usage", "tools", "tool_choice", "parallel_tool_calls", "text", "metadata", "store", "previous_response_id",
        ],
        "properties": {
            "id": _TEXT,
            "object": {"const": "response"},
            "status": {"enum": ["completed", "incomplete"]},
            "model": _TEXT,
            "output": {"type": "array", "items": {"type": "object", "required": ["id", "type"]}},
            "reasoning": {
                "type": "object",
                "description": "`effort` is the level that was applied, not the one that was asked for",
            },
            "usage": {"type": ["object", "null"]},
            "store": {"type": "boolean", "description": "Whether it was kept"},
            "thinkgate": _ref("Account"),
        },
    },
    "DeletedResponse": {
        "type": "object",
        "required": ["id", "object", "deleted"],
        "properties": {"id": _TEXT, "object": {"const": "response"}, "deleted": {"const": True}},
    },
    "ResponseItems": {
        "type": "object",
        "required": ["object", "data", "first_id", "last_id", "has_more"],
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {"type": "object", "required": ["id", "type"]}},
            "has_more": {"type": "boolean"},
        },
    },
}  # fmt: skip

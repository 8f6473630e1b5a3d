"""Anthropic's Messages in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from gateway.api.checks import MOST_THINKING, MOST_TOKENS
from gateway.api.messages.parts import MEDIA_TYPES
from gateway.api.messages.thinking import DISPLAYS
from gateway.core.efforts import LEVELS

Json = dict[str, Any]


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(**schema: Any) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def _object(required: tuple[str, ...] = (), **properties: Json) -> Json:
    return {"type": "object", "required": list(required), "properties": properties}


def _block(kind: str, required: tuple[str, ...] = (), **properties: Json) -> Json:
    return _object(("type", *required), type={"const": kind}, **properties)


def _list(name: str) -> Json:
    return {"type": "array", "items": _ref(name)}


def _said(name: str) -> Json:
    """A string, or blocks."""
    return {"oneOf": [_TEXT, _list(name)]}


def _turn(role: str, block: str, least: int = 0) -> Json:
    content = {"oneOf": [_TEXT, {**_list(block), "minItems": least}]}
    return _object(("role", "content"), role={"const": role}, content=content)


_TEXT: Json = {"type": "string"}
_TEXT_BLOCK = _block("text", ("text",), text=_TEXT)
_IMAGE_SOURCE: Json = {
    "oneOf": [
        _block("base64", ("media_type", "data"), media_type={"enum": list(MEDIA_TYPES)}, data=_TEXT),
        _block("url", ("url",), url=_TEXT),
    ]
}
_IMAGE = _block("image", ("source",), source=_IMAGE_SOURCE)
_DOCUMENT_SOURCE: Json = {
    "oneOf": [
        _block("text", ("data",), media_type={"const": "text/plain"}, data=_TEXT),
        _block("content", ("content",), content=_said("TextOrImageBlock")),
    ]
}
_DOCUMENT = _block(
    "document",
    ("source",),
    source=_DOCUMENT_SOURCE,
    title=_or_null(type="string"),
    context=_or_null(type="string"),
)
_SEARCH_RESULT = _block(
    "search_result", ("title", "source", "content"), title=_TEXT, source=_TEXT, content=_list("TextBlock")
)
_TOOL_RESULT = _block(
    "tool_result",
    ("tool_use_id",),
    tool_use_id={**_TEXT, "description": "Of a tool_use in the assistant's turn before it"},
    content=_said("TextOrImageBlock"),
    is_error=_or_null(type="boolean"),
)
_THINKING_BLOCK: Json = {
    **_block("thinking", ("thinking", "signature"), thinking=_TEXT, signature=_TEXT),
    "description": "Must come back as it was sent; where thoughts are omitted, `signature` carries the thought",
}
_TOOL_USE = _block("tool_use", ("id", "name", "input"), id=_TEXT, name=_TEXT, input={"type": "object"})
_BUDGET: Json = {
    "type": "integer",
    "minimum": 1,
    "maximum": MOST_THINKING,
    "description": "Thinking tokens at most: less than max_tokens. Anthropic asks for 1024; here any will do",
}
_DISPLAY: Json = {"enum": [*DISPLAYS, None], "description": "omitted: the client sees nothing of a thought"}
_FORMAT = _object(("type", "schema"), type={"const": "json_schema"}, schema={"type": "object"})

_NOT_OFFERED: Json = {"type": "null", "description": "Not offered here: a request that asks for it is refused"}

_ASKED: Json = {
    "model": {"type": "string", "minLength": 1},
    "messages": {**_list("MessagesTurn"), "minItems": 1, "description": "The last one must not be the assistant's"},
    "system": {"oneOf": [_TEXT, _list("TextBlock"), {"type": "null"}]},
    "thinking": {"oneOf": [_ref("ThinkingConfig"), {"type": "null"}]},
    "output_config": _or_null(
        type="object",
        properties={
            "effort": {
                "enum": ["auto", *LEVELS, None],
                "description": "A level; with adaptive thinking the most that may be decided",
            },
            "format": {"oneOf": [_FORMAT, {"type": "null"}]},
        },
    ),
    "tools": _or_null(type="array", items=_ref("CustomTool")),
    "tool_choice": {
        "oneOf": [
            {"oneOf": [_block(kind, disable_parallel_tool_use=_or_null(type="boolean")) for kind in ("auto", "none")]},
            _block("any", disable_parallel_tool_use=_or_null(type="boolean")),
            _block("tool", ("name",), name=_TEXT, disable_parallel_tool_use=_or_null(type="boolean")),
            {"type": "null"},
        ]
    },
    "thinkgate": _or_null(
        type="object",
        additionalProperties=False,
        properties={"dial": _or_null(type="number", minimum=0, maximum=1)},
        description="The dial goes from the cheapest (0) to the best answer (1); only for models whose policy has it",
    ),
}

SCHEMAS: Json = {
    "MessagesRequest": {
        "type": "object",
        "description": "Fields that are not listed are ignored, and an answer's x-thinkgate-note says so.",
        "required": ["model", "max_tokens", "messages"],
        "properties": {
            **_ASKED,
            "max_tokens": {
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_TOKENS,
                "description": "Of thought and answer together",
            },
            "stream": _or_null(type="boolean"),
            "stop_sequences": _or_null(type="array", items={"type": "string", "minLength": 1}),
            "temperature": _or_null(type="number", minimum=0, maximum=2),
            "top_p": _or_null(type="number", minimum=0, maximum=1),
            "top_k": _or_null(type="integer", minimum=0, maximum=MOST_TOKENS),
            "metadata": _or_null(
                type="object",
                properties={"user_id": _or_null(type="string", description="Keeps a user in one arm of an experiment")},
            ),
            "service_tier": {"enum": ["auto", "standard_only", None]},
            "speed": {"enum": ["standard", None]},
            **dict.fromkeys(("container", "inference_geo", "mcp_servers", "thread"), _NOT_OFFERED),
            "include": _or_null(
                type="array", items={"type": "string"}, description="`thinkgate`: what was made of the effort"
            ),
        },
    },
    "CountTokensRequest": {"type": "object", "required": ["model", "messages"], "properties": _ASKED},
    "MessagesTurn": {
        "oneOf": [
            _turn("user", "UserBlock", least=1),
            _turn("assistant", "AssistantBlock"),
            _turn("system", "TextBlock"),
        ]
    },
    "TextBlock": _TEXT_BLOCK,
    "TextOrImageBlock": {"oneOf": [_TEXT_BLOCK, _IMAGE]},
    "UserBlock": {"oneOf": [_TEXT_BLOCK, _IMAGE, _DOCUMENT, _SEARCH_RESULT, _TOOL_RESULT]},
    "AssistantBlock": {
        "oneOf": [_TEXT_BLOCK, _THINKING_BLOCK, _block("redacted_thinking", ("data",), data=_TEXT), _TOOL_USE]
    },
    "ThinkingConfig": {
        "oneOf": [
            _block("enabled", ("budget_tokens",), budget_tokens=_BUDGET, display=_DISPLAY),
            _block("adaptive", display=_DISPLAY),
            _block("disabled"),
            _block("between_tools"),
        ],
        "description": "adaptive: decide for me, which is also what leaving it out says; disabled: no thinking",
    },
    "CustomTool": _object(
        ("name", "input_schema"),
        name={"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$"},
        type={"enum": ["custom", None]},
        description=_or_null(type="string"),
        input_schema=_object(type={"const": "object"}),
        strict=_or_null(type="boolean"),
    ),
    "AnthropicMessage": _object(
        ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"),
        id=_TEXT,
        type={"const": "message"},
        role={"const": "assistant"},
        model=_TEXT,
        content={**_list("AssistantBlock"), "minItems": 1},
        stop_reason={"enum": ["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]},
        stop_sequence=_or_null(type="string"),
        usage=_object(
            ("input_tokens", "output_tokens"),
            input_tokens={"type": "integer", "description": "Without those that were read from a cache"},
            output_tokens={"type": "integer"},
            cache_read_input_tokens={"type": "integer"},
            output_tokens_details=_object(thinking_tokens={"type": "integer"}),
        ),
        thinkgate=_ref("Account"),
    ),
    "TokensCount": _object(("input_tokens",), input_tokens={"type": "integer", "minimum": 0}),
    "AnthropicError": _object(
        ("type", "error", "request_id"),
        type={"const": "error"},
        request_id=_TEXT,
        error=_object(
            ("type", "message", "param", "code"),
            type=_TEXT,
            message=_TEXT,
            param={"description": "The field that is wrong, or null"},
            code={"description": "A word for programs; some backends send a number, or null"},
        ),
    ),
}


def paths(headers: Json, errors: dict[int, str]) -> Json:
    """`headers` are those of every answer, `errors` what each status means."""
    refusals = {
        str(status): {"description": what, "content": {"application/json": {"schema": _ref("AnthropicError")}}}
        for status, what in errors.items()
    }
    named = {**headers, "request-id": {"schema": _TEXT, "description": "The same as x-request-id"}}
    how = {"schema": {"enum": ["exact", "estimate"]}, "description": "Whether the backend's own tokenizer has counted"}
    message = {
        "description": "The message: whole, or as a stream of events that ends in message_stop or in error",
        "headers": named,
        "content": {"application/json": {"schema": _ref("AnthropicMessage")}, "text/event-stream": {}},
    }
    count = {
        "description": "How many tokens the prompt has",
        "headers": {"request-id": named["request-id"], "x-thinkgate-count": how},
        "content": {"application/json": {"schema": _ref("TokensCount")}},
    }
    return {
        "/v1/messages": {"post": _post("A message", "MessagesRequest", message, refusals)},
        "/v1/messages/count_tokens": {"post": _post("Count tokens", "CountTokensRequest", count, refusals)},
    }


def _post(summary: str, request: str, answer: Json, refusals: Json) -> Json:
    body = {"required": True, "content": {"application/json": {"schema": _ref(request)}}}
    told = {"200": answer, **refusals, "default": refusals["500"]}
    return {"summary": summary, "tags": ["Messages"], "requestBody": body, "responses": told}

"""What is sent and answered, as JSON schemas for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from gateway.api.checks import MOST_CHOICES, MOST_THINKING, MOST_TOKENS
from gateway.api.known_fields import OF_CHATS, Kinds
from gateway.core.efforts import LEVELS

Json = dict[str, Any]


def _or_null(**schema: Any) -> Json:
    """JSON clients send null for what they leave out."""
    kind = schema.pop("type")
    return {"type": [kind, "null"], **schema}


def _count(least: int, most: int, description: str) -> Json:
    return _or_null(type="integer", minimum=least, maximum=most, description=description)


def kinds_of(fields: Kinds) -> Json:
    """Fields of which only the kind of value is known."""
    return {name: {"type": [*(_NAMES[kind] for kind in kinds), "null"]} for name, (kinds, _) in fields.items()}


_NAMES = {float: "number", int: "integer", bool: "boolean", str: "string", list: "array", dict: "object"}
SCHEMAS: Json = {
    "ChatRequest": {
        "type": "object",
        "description": "Further fields are the backend's to judge, and go to it as they are.",
        "required": ["model", "messages"],
        "properties": {
            "model": {"type": "string", "minLength": 1},
            "messages": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Message"}},
            "stream": _or_null(type="boolean"),
            "stream_options": _or_null(type="object", properties={"include_usage": _or_null(type="boolean")}),
            "tools": _or_null(type="array", items={"type": "object"}),
            "n": _count(1, MOST_CHOICES, "Answers; each has a budget of its own"),
            "max_tokens": _count(1, MOST_TOKENS, "Of thought and answer together"),
            "max_completion_tokens": _count(1, MOST_TOKENS, "The same; the smaller one counts"),
            "reasoning_effort": {
                "enum": ["auto", *LEVELS, None],
                "description": "A level, or auto: decide for me, which is also what leaving it out says",
            },
            "thinking_token_budget": _count(-1, MOST_THINKING, "Thinking tokens at most; -1: unlimited"),
            "chat_template_kwargs": _or_null(
                type="object",
                properties={
                    "enable_thinking": _or_null(type="boolean", description="Think at all, or not"),
                    "thinking": _or_null(type="boolean", description="The same"),
                    "thinking_budget": _count(-1, MOST_THINKING, "As thinking_token_budget"),
                },
            ),
            "reasoning": _or_null(
                type="object",
                description="As OpenRouter's clients say it",
                properties={
                    "effort": {"enum": ["auto", *LEVELS, None]},
                    "max_tokens": _count(-1, MOST_THINKING, "As thinking_token_budget"),
                    "enabled": _or_null(type="boolean"),
                    "exclude": _or_null(type="boolean", description="Do not show the thought"),
                },
            ),
            "thinking": _or_null(
                type="object",
                description="As Anthropic's, DeepSeek's and Z.ai's clients say it",
                properties={
                    "type": {"enum": ["enabled", "disabled", "adaptive", "auto", None]},
                    "budget_tokens": _count(-1, MOST_THINKING, "As thinking_token_budget"),
                },
            ),
            "enable_thinking": _or_null(type="boolean", description="As DashScope's clients say it"),
            "thinking_budget": _count(-1, MOST_THINKING, "As DashScope's clients say it"),
            "include": _or_null(
                type="array", description="With `thinkgate` in it, the answer says what was made of the effort"
            ),
            "thinkgate": _or_null(
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
            **kinds_of(OF_CHATS),
            "metadata": _or_null(
                type="object", description="`conversation_id` in it keeps a conversation in one arm of an experiment"
            ),
            "safety_identifier": _or_null(type="string", description="Does the same for a user"),
            "user": _or_null(type="string", description="Does the same for a user"),
        },
    },
    "Message": {
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": {"type": "string"},
            "content": {"type": ["string", "array", "null"], "items": {"type": "object"}},
        },
    },
    "ChatCompletion": {
        "type": "object",
        "description": "As the backend gave it, but for the model's public name.",
        "required": ["model", "choices"],
        "properties": {
            "model": {"type": "string"},
            "choices": {"type": "array", "items": {"type": "object"}},
            "usage": {"type": ["object", "null"]},
            "thinkgate": {"$ref": "#/components/schemas/Account"},
        },
    },
    "Account": {
        "type": "object",
        "description": "What was made of the effort, for clients that ask for it by `include` or x-thinkgate-include. "
        "In a stream it is in a chunk of its own before the end.",
        "required": ["requested", "decided", "applied", "used", "reason"],
        "properties": {
            "requested": {"type": "string", "description": "The client's own word"},
            "decided": {"type": "string", "description": "What the policy chose: none, tokens, or unlimited"},
            "applied": {"type": ["string", "null"], "description": "What the model was told; null: it cannot be told"},
            "used": {"type": ["integer", "null"], "description": "Thinking tokens spent; null: nobody knows"},
            "used_from": {"enum": ["reported", "counted", None], "description": "By the backend, or by the gateway"},
            "enforced": {
                "enum": ["native", "two-phase", "cut", "none", None],
                "description": "Who kept the budget: the backend; the gateway, by ending the thought and having the "
                "answer written on, or by ending the answer there; nobody",
            },
            "verdict": {
                "enum": ["within", "over", "unknown", None],
                "description": "Whether the backend kept to its budget; null: it had none",
            },
            "probe": {
                "enum": ["kept", "thrown_away", "failed", None],
                "description": "What became of a short answer that was asked for first; null: none was",
            },
            "probe_tokens": {
                "type": ["integer", "null"],
                "description": "Its tokens; if it was not kept, they are rejected_prediction_tokens of the usage",
            },
        },
    },
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"description": "The field that is wrong, or null"},
                    "code": {"description": "A word for programs; some backends send a number, or null"},
                },
            }
        },
    },
}

"""The OpenAPI documents of the client port and the operator port, with limits and names taken from the code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gateway.api import checks, feedback, known_fields, models, passthrough
from gateway.api.messages import parts, thinking
from gateway.api.openapi import template
from gateway.api.responses import input_items, options, routes
from gateway.auth.limits import KeyChange, NewKey, NewTeam, Rotation, TeamChange
from gateway.core.efforts import LEVELS
from gateway.families.compiler import ACCOUNT

Json = dict[str, Any]

_TYPES = {float: "number", int: "integer", bool: "boolean", str: "string", list: "array", dict: "object"}


def clients(version: str, keyed: bool, metrics: bool | Literal["open"], feedback: bool = True) -> Json:
    """`keyed`: clients need a key; `metrics`: `/metrics` is served on this port, `open`: without a key; `feedback`: so
    is `/v1/feedback`.
    """
    document = template.read(
        ("clients", "error", "chat", "decide", "messages", "responses", "passthrough", "feedback"),
        {"version": version, **_values()},
    )
    if not feedback:
        del document["paths"]["/v1/feedback"]
    if metrics == "open":
        document["paths"]["/metrics"]["get"]["security"] = []
    elif not metrics:
        del document["paths"]["/metrics"]
    return document | ({"security": [{"key": []}]} if keyed else {})


def operators(version: str) -> Json:
    values: Json = {"version": version, "LIMITS": {}}
    for name, kind in (
        ("NEW_KEY", NewKey),
        ("KEY_CHANGE", KeyChange),
        ("NEW_TEAM", NewTeam),
        ("TEAM_CHANGE", TeamChange),
        ("ROTATION", Rotation),
    ):
        values[name] = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        values["LIMITS"] |= values[name].pop("$defs", {})
    return template.read(("operators", "error"), values)


def _values() -> Mapping[str, Any]:
    """Values that the code enforces, by the names used in the JSON files."""
    return {
        **{name: getattr(checks, name) for name in ("MOST_CHOICES", "MOST_THINKING", "MOST_TOKENS")},
        "MOST_ON_A_PAGE": models.MOST_ON_A_PAGE,
        "MOST_LISTED": routes.MOST_LISTED,
        **{name: getattr(feedback, name) for name in ("MOST_ID", "MOST_NAME", "MOST_LABEL", "MOST_COMMENT")},
        "METRIC_PATTERN": f"^{feedback.METRIC}$",
        "LEVELS": [*LEVELS],
        "ACCOUNT": ACCOUNT,
        "MEDIA_TYPES": [*parts.MEDIA_TYPES],
        "DISPLAYS": [*thinking.DISPLAYS],
        "DETAILS": [*input_items.DETAILS],
        "INPUT_ROLES": [role for role in input_items.ROLES if role != "assistant"],
        **{name: value for name, value in vars(options).items() if name.isupper()},
        "CHAT_FIELDS": _of_known_types(known_fields.CHAT_FIELDS),
        "COMPLETION_FIELDS": _of_known_types(known_fields.COMPLETION_FIELDS),
        "EMBEDDING_FIELDS": _of_known_types(known_fields.EMBEDDING_FIELDS),
        "NO_EFFORT": {name: {"type": "null"} for name in passthrough.CHAT_ONLY},
    }


def _of_known_types(fields: known_fields.Kinds) -> Json:
    """Schemas of fields of which only the type is checked."""
    return {name: {"type": [*(_TYPES[kind] for kind in kinds), "null"]} for name, (kinds, _) in fields.items()}

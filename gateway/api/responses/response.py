"""Builds the response object: the client's fields, what was applied, and the output."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from gateway.api.responses.call import ResponsesCall, ResponseSpec
from gateway.api.responses.options import TIERS
from gateway.api.responses.turn import Item
from gateway.core.efforts import LEVELS
from gateway.core.errors import GatewayError
from gateway.core.usage import Usage
from gateway.execution.report import AnswerFacts

# Reasons for incomplete answers, by the backend's finish reason.
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def status_of(finish_reason: str | None) -> str:
    return "incomplete" if finish_reason in _INCOMPLETE else "completed"


def begun(call: ResponsesCall, facts: AnswerFacts) -> dict[str, Any]:
    """A response without output yet."""
    return _object(call, facts, "in_progress", [])


def finished(call: ResponsesCall, facts: AnswerFacts, output: list[Item], usage: Any, tier: Any) -> dict[str, Any]:
    """`usage` and `tier` are as the backend reported them."""
    status = status_of(facts.finish_reason)
    body = _object(call, facts, status, output) | {"usage": _usage(usage, facts.usage, facts.discarded_tokens)}
    if status == "incomplete":
        body["incomplete_details"] = {"reason": _INCOMPLETE[str(facts.finish_reason)]}
    else:
        body["completed_at"] = int(time.time())
    if tier in TIERS:
        body["service_tier"] = tier
    return body


def failed(call: ResponsesCall, facts: AnswerFacts, output: list[Item], error: GatewayError) -> dict[str, Any]:
    """A response that failed midway. Its error has one of the few codes that the dialect defines."""
    code = "rate_limit_exceeded" if error.status == 429 else "invalid_prompt" if error.status < 500 else "server_error"
    return _object(call, facts, "failed", output) | {"error": {"code": code, "message": error.message}}


def _object(call: ResponsesCall, facts: AnswerFacts, status: str, output: list[Item]) -> dict[str, Any]:
    spec = call.spec
    return {
        "id": spec.id,
        "object": "response",
        "created_at": spec.created,
        "completed_at": None,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        **spec.echo,
        "model": call.model,
        "output": output,
        "reasoning": _reasoning(spec, facts),
        "service_tier": spec.echo["service_tier"] or "default",
        "store": spec.store,
        "truncation": "disabled",
        "usage": None,
    }


def _reasoning(spec: ResponseSpec, facts: AnswerFacts) -> dict[str, Any]:
    """What was applied, not what was requested: the effort level, and which earlier reasoning was sent to the model."""
    plan = facts.plan
    requested = None if spec.effort == "auto" else spec.effort
    level = plan.level if plan.level in LEVELS else None
    family = plan.deployment.family
    all_turns = (family.history == "keep" or family.passes_through) and spec.context != "current_turn"
    return {
        "effort": level or facts.level or requested,
        "summary": spec.summary,
        "context": "all_turns" if all_turns else "current_turn",
    }


def _usage(reported: Any, usage: Usage, discarded: int) -> dict[str, Any] | None:
    """The usage including the tokens of a discarded probe; None if the backend reported none."""
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    details = reported.get("prompt_tokens_details") if isinstance(reported, Mapping) else None
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": _count(details, "cached_tokens"),
            "cache_write_tokens": _count(details, "cache_write_tokens"),
        },
        "output_tokens": usage.completion_tokens + discarded,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens + discarded,
    }


def _count(details: Any, name: str) -> int:
    value = details.get(name) if isinstance(details, Mapping) else None
    return value if type(value) is int and value >= 0 else 0

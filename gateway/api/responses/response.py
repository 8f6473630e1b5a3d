"""The response as an object: what the client asked, what was made of it, and what came of it."""

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

# Why an answer ended before it was complete, by the backend's word for it.
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def status_of(finish_reason: str | None) -> str:
    return "incomplete" if finish_reason in _INCOMPLETE else "completed"


def begun(call: ResponsesCall, facts: AnswerFacts) -> dict[str, Any]:
    """A response of which nothing is there yet."""
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
    """A response that broke off. Its error has one of the few codes that the dialect knows."""
    code = "rate_limit_exceeded" if error.status == 429 else "invalid_prompt" if error.status < 500 else "server_error"
    return _object(call, facts, "failed", output) | {"error": {"code": code, "message": error.message}}


def _object(call: ResponsesCall, facts: AnswerFacts, status: str, output: list[Item]) -> dict[str, Any]:
    wanted = call.wanted
    return {
        "id": wanted.id,
        "object": "response",
        "created_at": wanted.created,
        "completed_at": None,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        **wanted.echo,
        "model": call.model,
        "output": output,
        "reasoning": _reasoning(wanted, facts),
        "service_tier": wanted.echo["service_tier"] or "default",
        "store": wanted.store,
        "truncation": "disabled",
        "usage": None,
    }


def _reasoning(wanted: ResponseSpec, facts: AnswerFacts) -> dict[str, Any]:
    """What was applied, not what was asked: the level of the budget, and which thoughts of earlier turns went along."""
    plan = facts.plan
    asked = None if wanted.effort == "auto" else wanted.effort
    level = plan.level if plan.level in LEVELS else None
    family = plan.deployment.family
    keeps = (family.history == "keep" or family.passes_through) and wanted.context != "current_turn"
    return {
        "effort": level or facts.level or asked,
        "summary": wanted.summary,
        "context": "all_turns" if keeps else "current_turn",
    }


def _usage(told: Any, used: Usage, wasted: int) -> dict[str, Any] | None:
    """With the tokens of a probe that was thrown away. None if the backend did not say."""
    if used.prompt_tokens is None or used.completion_tokens is None:
        return None
    details = told.get("prompt_tokens_details") if isinstance(told, Mapping) else None
    return {
        "input_tokens": used.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": _count(details, "cached_tokens"),
            "cache_write_tokens": _count(details, "cache_write_tokens"),
        },
        "output_tokens": used.completion_tokens + wasted,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens or 0},
        "total_tokens": used.prompt_tokens + used.completion_tokens + wasted,
    }


def _count(details: Any, name: str) -> int:
    value = details.get(name) if isinstance(details, Mapping) else None
    return value if type(value) is int and value >= 0 else 0

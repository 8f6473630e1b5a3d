"""The plan of a passed-through request: only the model's name is replaced, no effort is decided."""

from __future__ import annotations

from typing import Any

from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.plan import Plan
from gateway.families.guard import request as guards


def pass_on(call: Call, arm: Arm) -> Plan:
    """The plan. Streams are asked to report usage at the end, for the record.

    InvalidRequest: the deployment's clients may not send this.
    """
    deployment = arm.for_passthrough
    guards.check(call, deployment)
    body: dict[str, Any] = {**call.body, "model": deployment.model}
    if call.stream:
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    if call.guarded and call.limit is not None and call.passthrough is not None and call.passthrough.holds == "choices":
        body.setdefault("max_tokens", call.limit)  # engines' defaults differ
    tokens = call.prompt_tokens + (call.limit or 0) * call.choices
    return Plan(deployment, None, body, tokens=tokens, limit=call.limit)

"""Sends a plan, and enforces its budget and its stop sequences where the backend does not."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from gateway.backends.capabilities import Capabilities
from gateway.backends.destination import CHAT
from gateway.backends.reply import Reply
from gateway.backends.transport import Transport
from gateway.core.call import Call
from gateway.core.end_text import parse_end_text
from gateway.core.plan import Plan
from gateway.execution.enforcement.stops import StoppedAnswer, enforced_stops
from gateway.execution.enforcement.truncation import TruncatedReply
from gateway.execution.enforcement.two_phase import ThoughtBudget, TwoPhase


class BudgetEnforcer:
    def __init__(self, transport: Transport, capabilities: Capabilities) -> None:
        self._transport = transport
        self._capabilities = capabilities

    async def post(self, plan: Plan, call: Call, spent_s: float) -> Reply:
        """The reply to the plan; `spent_s`, and the errors, as for `Transport.post`."""
        applied = plan.applied
        if plan.enforcement in ("native", "none") or applied is None or not applied.think or applied.budget is None:
            path = call.passthrough.path if call.passthrough else CHAT
            stops = enforced_stops(plan, call)
            if not stops:
                return await self._transport.post(plan, call, spent_s, path)
            plan = replace(plan, body=_as_counted_stream(plan.body, ids=False))
            del plan.body["stop"]
            return StoppedAnswer(await self._transport.post(plan, call, spent_s), plan, stops)
        marks = self._capabilities.marks(plan.deployment)
        end = parse_end_text(plan.deployment.family.end_text)
        began = time.perf_counter()
        plan = replace(plan, body=_as_counted_stream(plan.body, marks is not None))
        reply = await self._transport.post(plan, call, spent_s)
        if plan.enforcement == "two-phase" and marks is not None and end is not None:
            budget = ThoughtBudget(applied.budget, marks, end)
            return TwoPhase(self._transport, reply, plan, call, budget, spent_s + time.perf_counter() - began)
        return TruncatedReply(reply, plan, call, applied.budget, marks)


def _as_counted_stream(body: dict[str, Any], ids: bool) -> dict[str, Any]:
    """The same request as a stream whose tokens can be counted as they arrive: by their `ids`, or by running usage."""
    options = {**(body.get("stream_options") or {}), "include_usage": True}
    stream: dict[str, Any] = {**body, "stream": True, "stream_options": options}
    # Hidden reasoning could not be counted; the gateway hides it from the client instead.
    stream.pop("include_reasoning", None)
    if ids:
        stream["return_token_ids"] = True
    else:
        options["continuous_usage_stats"] = True
    return stream

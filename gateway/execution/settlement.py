"""Settles what a request used with its principal: quotas and cost."""

from __future__ import annotations

import time

from gateway.auth.principal import NO_COST, ProbeCost
from gateway.backends.latency import Timing
from gateway.core.usage import Usage
from gateway.execution.degraded import degraded
from gateway.execution.recorder import Recorder
from gateway.execution.streaming.budget_check import BudgetCheck
from gateway.execution.streaming.counted import count

UNKNOWN = Usage()
NOTHING = Usage(0, 0, 0)


def settle(recorder: Recorder, checked: BudgetCheck) -> Usage:
    """Charge the request; returns the tokens charged, without those of a probe. UNKNOWN: no backend processed it.

    Nothing is charged for a backend that refused or failed at once.
    """
    principal, planned, probe = recorder.facts.principal, recorder.planned, recorder.probe
    if planned is None:
        principal.leave()
        return UNKNOWN
    call, plan = planned.call, planned.plan
    usage = recorder.counts.usage
    spent = NO_COST
    if probe is not None:
        spent = ProbeCost(probe.discarded_tokens, probe.cost(usage.prompt_tokens or call.prompt_tokens))
    if not _ran(recorder):
        principal.settle(plan, NOTHING, False, spent)
        return UNKNOWN
    whole = None if recorder.broke_off else checked
    counted, unseen = count(call, plan, usage, recorder.seen, recorder.enforced, whole)
    complete = whole is not None and not unseen
    return principal.settle(plan, counted, unseen, spent, complete, bool(degraded(recorder, checked)))


def cost(recorder: Recorder, counted: Usage) -> float | None:
    """The cost in dollars, including a discarded probe; None if the backend did not report the tokens."""
    plan, probe = recorder.plan, recorder.probe
    if plan is None or counted.completion_tokens is None:
        return None
    prompt = counted.prompt_tokens or 0
    answered = plan.deployment.pricing.cost(prompt, counted.completion_tokens, counted.cached_tokens or 0)
    return answered + (probe.cost(prompt) if probe else 0.0)


def timing(recorder: Recorder) -> Timing | None:
    """How fast the backend was; None unless it gave a complete answer."""
    sent = recorder.place.sent if recorder.place else None
    if sent is None or recorder.broke_off:
        return None
    counts, probe = recorder.counts, recorder.probe
    buffered_s = probe.buffered_s if probe and probe.outcome == "kept" else 0.0
    ttft = counts.first_token - sent - buffered_s if counts.first_token else None
    tokens = counts.usage.completion_tokens or 0
    return Timing(ttft, time.perf_counter() - sent, tokens, recorder.facts.principal.key)


def _ran(recorder: Recorder) -> bool:
    """Whether tokens may have been spent, including unreported ones."""
    if recorder.place is None or not recorder.place.reached:
        return False
    if recorder.error is None or recorder.error.may_have_run:
        return True
    return recorder.seen.any or recorder.counts.usage.completion_tokens is not None

"""What a client learns about its request besides the answer: headers, and the effort report."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gateway.backends.failures import OWN_ID
from gateway.core.aliases import Headers, JsonObject
from gateway.core.efforts import words
from gateway.core.plan import Plan
from gateway.core.usage import Usage
from gateway.execution.outcome import Outcome, enforced
from gateway.execution.recorder import Recorder
from gateway.execution.streaming.budget_check import BudgetCheck, check_budget

MARKED = "the arguments of a tool call contain an end-of-reasoning tag"
MENDED = "an end-of-reasoning tag was removed from the arguments of a tool call"
CUT = "the reasoning exceeded its budget: the answer was truncated there"


class AnswerFacts(NamedTuple):
    """`level` is the word for the effort that was applied, None where none was; `user` the hash of the end user's name.
    `discarded_tokens` were a probe's.
    """

    plan: Plan
    level: str | None
    usage: Usage
    discarded_tokens: int
    finish_reason: str | None
    user: str | None


class AnswerView(Protocol):
    """What encoders see of a request that is being answered."""

    def effort_report(self) -> JsonObject:
        """What was made of the effort, for the body of an answer: budgets in words, tokens as they were used."""
        ...

    def facts(self) -> AnswerFacts:
        """As far as they are known by now."""
        ...


class AnswerReport:
    def __init__(self, recorder: Recorder, outcome: Outcome) -> None:
        self._recorder = recorder
        self._outcome = outcome

    def effort_report(self) -> JsonObject:
        recorder, plan, probe = self._recorder, self._outcome.plan, self._outcome.probe
        decision, checked = recorder.decision, budget_check(recorder)
        return {
            "requested": self._outcome.call.effort_word,
            "decided": words(decision.effort) if decision else None,
            "applied": plan.words,
            "used": checked.used,
            "used_from": checked.used_from,
            "enforced": enforced(plan),
            "verdict": checked.verdict,
            "reason": decision.reason if decision else None,
            "arm": recorder.assignment.arm.name if recorder.assignment else None,
            "router": recorder.router,
            "deployment": plan.deployment.name,
            "probe": probe.outcome if probe else None,
            "probe_tokens": probe.tokens if probe else None,
            "notes": notes(recorder),
        }

    def facts(self) -> AnswerFacts:
        recorder, plan = self._recorder, self._outcome.plan
        return AnswerFacts(
            plan,
            recorder.level_of(plan.applied) if plan.applied is not None else None,
            recorder.counts.usage,
            self._outcome.discarded_tokens,
            recorder.finish_reason,
            recorder.assignment.user if recorder.assignment else None,
        )


def headers(recorder: Recorder) -> Headers:
    """The headers of every answer, as far as their values are known."""
    facts, plan, decision = recorder.facts, recorder.plan, recorder.decision
    told = {"x-request-id": facts.request_id, **facts.principal.headers()}
    if plan is not None and decision is not None:
        applied = plan.applied
        told["x-thinkgate-effort"] = plan.level or (recorder.level_of(applied) if applied else "unknown")
        if applied is not None:
            told["x-thinkgate-budget"] = "unlimited" if applied.budget is None else str(applied.budget)
        said = notes(recorder)
        if said:
            told["x-thinkgate-note"] = "; ".join(said)
    if decision is not None:
        told["x-thinkgate-reason"] = decision.reason
    if recorder.assignment is not None:
        told["x-thinkgate-arm"] = recorder.assignment.arm.name
    if recorder.router is not None:
        told["x-thinkgate-router"] = recorder.router
    own_id = recorder.outcome.reply.own_id if recorder.outcome else None
    if own_id is not None:
        told[OWN_ID] = own_id
    return told


def notes(recorder: Recorder) -> list[str]:
    """What differs from what was wanted, as far as it is known by now."""
    said = [*recorder.plan.notes] if recorder.plan is not None else []
    probe = recorder.pending_probe
    if probe is not None and (note := probe.result.note):
        said.append(note)
    if recorder.enforced is not None and recorder.enforced.cut:
        said.append(CUT)
    if recorder.seen.marked:
        said.append(MENDED if recorder.seen.mended else MARKED)
    return said


def budget_check(recorder: Recorder) -> BudgetCheck:
    """What the answer used of its budget; of one that is not complete only what was reported."""
    usage, planned = recorder.counts.usage, recorder.planned
    if planned is None or planned.call.passthrough is not None or recorder.broke_off:
        used = usage.reasoning_tokens
        return BudgetCheck(used, None if used is None else "reported")
    call, plan, _ = planned
    hidden = plan.body.get("include_reasoning") is False
    return check_budget(plan.applied, call.choices, usage, recorder.seen, recorder.enforced, hidden)

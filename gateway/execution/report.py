"""What a client gets besides the answer: response headers, and the effort report."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gateway.backends.failures import OWN_ID
from gateway.core.aliases import Headers, JsonObject
from gateway.core.efforts import words
from gateway.core.plan import Plan
from gateway.core.usage import Usage
from gateway.execution.length_loss import lost_to_length, note_of
from gateway.execution.outcome import Outcome, enforced
from gateway.execution.recorder import Recorder
from gateway.execution.streaming.budget_check import BudgetCheck, check_budget

MARKED = "the arguments of a tool call contain an end-of-reasoning tag"
MENDED = "an end-of-reasoning tag was removed from the arguments of a tool call"
CUT = "the reasoning exceeded its budget: the answer was truncated there"


class AnswerFacts(NamedTuple):
    """`level` names the applied effort (None if none was applied); `user` is the hash of the end user's name.
    `discarded_tokens` are those of a discarded probe.
    """

    plan: Plan
    level: str | None
    usage: Usage
    discarded_tokens: int
    finish_reason: str | None
    user: str | None


class AnswerView(Protocol):
    """A dialect encoder's view of a request that is being answered."""

    def effort_report(self) -> JsonObject:
        """The effort that was requested, decided, applied and used, for the body of an answer."""
        ...

    def facts(self) -> AnswerFacts:
        """The facts known so far."""
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
    """The headers of every answer; those whose values are not known yet are left out."""
    facts, plan, decision = recorder.facts, recorder.plan, recorder.decision
    values = {"x-request-id": facts.request_id, "x-thinkgate-id": facts.id, **facts.principal.headers()}
    if plan is not None and decision is not None:
        applied = plan.applied
        values["x-thinkgate-effort"] = plan.level or (recorder.level_of(applied) if applied else "unknown")
        if applied is not None:
            values["x-thinkgate-budget"] = "unlimited" if applied.budget is None else str(applied.budget)
        if deviations := notes(recorder):
            values["x-thinkgate-note"] = "; ".join(deviations)
    if decision is not None:
        values["x-thinkgate-reason"] = decision.reason
    if recorder.assignment is not None:
        values["x-thinkgate-arm"] = recorder.assignment.arm.name
    if recorder.router is not None:
        values["x-thinkgate-router"] = recorder.router
    own_id = recorder.outcome.reply.own_id if recorder.outcome else None
    if own_id is not None:
        values[OWN_ID] = own_id
    return values


def notes(recorder: Recorder) -> list[str]:
    """Deviations from what was requested or decided, as far as they are known yet."""
    found = [*recorder.plan.notes] if recorder.plan is not None else []
    probe = recorder.pending_probe
    if probe is not None and (note := probe.result.note):
        found.append(note)
    cut = recorder.enforced is not None and recorder.enforced.cut
    if cut:
        found.append(CUT)
    if recorder.seen.marked:
        found.append(MENDED if recorder.seen.mended else MARKED)
    checked = budget_check(recorder) if recorder.finish_reason == "length" and not cut else None
    if checked is not None and lost_to_length(recorder, checked):
        found.append(note_of(checked))
    return found


def budget_check(recorder: Recorder) -> BudgetCheck:
    """Compares the answer's thinking tokens with its budget; for an incomplete answer, only reports their number."""
    usage, planned = recorder.counts.usage, recorder.planned
    if planned is None or planned.call.passthrough is not None or recorder.broke_off:
        used = usage.reasoning_tokens
        return BudgetCheck(used, None if used is None else "reported")
    call, plan = planned.call, planned.plan
    hidden = plan.body.get("include_reasoning") is False
    return check_budget(plan.applied, call.choices, usage, recorder.seen, recorder.enforced, hidden)

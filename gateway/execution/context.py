"""One request from its first byte to its record: the facts gathered on the way."""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.auth.principal import ANONYMOUS, NO_COST, Principal, ProbeCost
from gateway.backends.admission import AdmissionController
from gateway.backends.failures import OWN_ID
from gateway.backends.latency import Timing
from gateway.backends.reply import EnforcedBudget, Reply
from gateway.core.aliases import Headers, JsonObject
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.efforts import Effort, level_of, words
from gateway.core.end_text import EndText, parse_end_text
from gateway.core.errors import GatewayError
from gateway.core.forecast import Forecast
from gateway.core.plan import Enforcement, Plan
from gateway.core.record import Record
from gateway.core.usage import Usage
from gateway.execution.probe.result import ProbeResult
from gateway.execution.streaming import unasked
from gateway.execution.streaming.budget_check import BudgetCheck, check_budget
from gateway.execution.streaming.counted import count
from gateway.execution.streaming.encoder import ResponseEncoder
from gateway.execution.streaming.output_stats import OutputStats

log = logging.getLogger("thinkgate")

# Models may say a word or two before they notice that they are not to think.
MOST_UNASKED = 64
USUAL_END = "</think>"
MARKED = "the end of a thought is in the arguments of a tool call"
MENDED = "the end of a thought was taken out of the arguments of a tool call"
CUT = "the thought exceeded its budget: the answer was cut there"


class Ids:
    """Ids that sort by time and are unique across workers and restarts."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(4)
        self._count = itertools.count()

    def new(self) -> str:
        return f"{time.time_ns():016x}{self._process}{next(self._count) & 0xFFFF:04x}"

    def for_client(self) -> str:
        """A request id for a client that sent none, where there is no record to share it with."""
        return f"req-{self.new()}"


@dataclass(slots=True)
class RequestContext:
    """Filled step by step by the pipeline; a step that was not reached leaves its facts None.

    `bounded` is the call within what its sender may have.

    `status` is the one the client got, or of the error that its stream ended in, or 499 for a client that hung up;
    times are of the monotonic clock, in seconds, but for `at`.
    """

    id: str
    request_id: str
    dialect: str
    principal: Principal = ANONYMOUS
    at: float = field(default_factory=time.time)
    started: float = field(default_factory=time.perf_counter)
    status: int = 200
    model: str | None = None
    call: Call | None = None
    bounded: Call | None = None
    encoder: ResponseEncoder | None = None
    level_of: Callable[[Effort], str] = level_of
    arm: Arm | None = None
    unit: str | None = None
    user: str | None = None
    decision: Decision | None = None
    probe_result: ProbeResult | None = None
    router: str | None = None
    decision_s: float | None = None
    plan: Plan | None = None
    error: GatewayError | None = None
    usage: Usage = field(default_factory=Usage)
    upstream_id: str | None = None
    kept: EnforcedBudget | None = None
    seen: OutputStats = field(default_factory=OutputStats)
    counted: Usage = field(default_factory=Usage)
    controller: AdmissionController | None = None
    dispatched: float | None = None
    queued_s: float = 0.0
    sent: float | None = None
    first_token: float | None = None
    finish_reason: str | None = None
    client_gone: bool = False
    answering: bool = False
    closed: bool = False

    @property
    def backend_id(self) -> str:
        """The id at backends. Where keys are required it is unique, and begins with the client's own: engines mix up
        requests of one id, and no key may name, or abort, another's request.
        """
        if self.principal.key is None or self.request_id.endswith(self.id):
            return self.request_id
        return f"{self.request_id}-{self.id}"

    def answered_by(self, reply: Reply) -> None:
        """A backend answers. Where it forces the end of a thought, that is looked for where it does not belong."""
        self.upstream_id, self.kept = reply.own_id, reply.kept
        if self.bounded is not None and self.bounded.guarded and self.plan is not None:
            marks = self._marks()
            self.seen.look_for(marks.start, marks.mark)
        if self.plan is not None and self._enforced() == "native":
            end = parse_end_text(self.plan.deployment.family.end_text)
            self.seen.mark = end.mark if end is not None else ""

    @property
    def most_unasked(self) -> int | None:
        """How many bytes of a thought are let through, where a key's limit has it that there is none; None: any."""
        plan = self.plan
        guarded = self.bounded is not None and self.bounded.guarded and self.bounded.passed is None
        silent = plan is not None and plan.applied is not None and not plan.applied.think
        return MOST_UNASKED if guarded and silent else None

    def cut(self, body: dict[str, Any]) -> bool:
        """End a whole answer where a stream of it would have been; whether it had thought unasked for so long."""
        most = self.most_unasked
        if most is None or self.seen.thought_size <= most:
            return False
        unasked.cut(body, self._marks().start, most)
        return True

    def _marks(self) -> EndText:
        """What a thought begins and ends with where it stands in a text."""
        family = self.plan.deployment.family if self.plan is not None else None
        marks = (parse_end_text(family.end_text) if family is not None else None) or parse_end_text(USUAL_END)
        assert marks is not None, "the usual ones are marks"
        return marks

    def headers(self) -> Headers:
        """What every answer tells the client, as far as it is known."""
        headers = {"x-request-id": self.request_id, **self.principal.headers()}
        if self.plan is not None and self.decision is not None:
            applied = self.plan.applied
            headers["x-thinkgate-effort"] = self.plan.level or (self.level_of(applied) if applied else "unknown")
            if applied is not None:
                headers["x-thinkgate-budget"] = "unlimited" if applied.budget is None else str(applied.budget)
            notes = self._notes()
            if notes:
                headers["x-thinkgate-note"] = "; ".join(notes)
        if self.decision is not None:
            headers["x-thinkgate-reason"] = self.decision.reason
        if self.arm is not None:
            headers["x-thinkgate-arm"] = self.arm.name
        if self.router is not None:
            headers["x-thinkgate-router"] = self.router
        if self.upstream_id is not None:
            headers[OWN_ID] = self.upstream_id
        return headers

    def effort_report(self) -> JsonObject:
        """What was made of the effort, for the body of an answer: budgets in words, tokens as they were used."""
        call, decision, plan = self.call, self.decision, self.plan
        assert call is not None and decision is not None and plan is not None, "there is an answer"
        checked = self.checked()
        return {
            "requested": call.asked,
            "decided": words(decision.effort),
            "applied": plan.words,
            "used": checked.used,
            "used_from": checked.used_from,
            "enforced": self._enforced(),
            "verdict": checked.verdict,
            "reason": decision.reason,
            "arm": self.arm.name if self.arm else None,
            "router": self.router,
            "deployment": plan.deployment.name,
            "probe": self.probe_result.outcome if self.probe_result else None,
            "probe_tokens": self.probe_result.tokens if self.probe_result else None,
            "notes": self._notes(),
        }

    @property
    def discarded_tokens(self) -> int:
        """Tokens of a probe that nobody gets to see."""
        return self.probe_result.discarded_tokens if self.probe_result else 0

    @property
    def kept_here(self) -> bool:
        """Whether it was the gateway that kept the budget."""
        return self.kept is not None and self.kept.thought is not None

    def checked(self) -> BudgetCheck:
        """What the answer used of its budget; of one that is not complete only what was reported."""
        call, plan = self.call, self.plan
        if call is None or plan is None or call.passed is not None or self.error is not None or self.client_gone:
            used = self.usage.reasoning_tokens
            return BudgetCheck(used, None if used is None else "reported")
        hidden = plan.body.get("include_reasoning") is False
        return check_budget(plan.applied, call.choices, self.usage, self.seen, self.kept, hidden)

    def _enforced(self) -> Enforcement | None:
        """Who keeps the budget; None where there is none to keep."""
        applied = self.plan.applied if self.plan else None
        bounded = applied is not None and applied.think and applied.budget is not None
        return self.plan.enforcement if self.plan and bounded else None

    def _notes(self) -> list[str]:
        """What differs from what was wanted, as far as it is known by now."""
        notes = list(self.plan.notes) if self.plan else []
        if self.probe_result is not None and self.probe_result.note:
            notes.append(self.probe_result.note)
        if self.kept is not None and self.kept.cut:
            notes.append(CUT)
        if self.seen.marked:
            notes.append(MENDED if self.seen.mended else MARKED)
        return notes

    def settle(self) -> None:
        """Tell the visitor what was used. A backend that refused or failed at once has used nothing."""
        call, plan = self.call, self.plan
        if call is None or plan is None:
            self.principal.leave()
            return
        ran, unseen = self._ran(call), False
        if ran:
            broke_off = self.error is not None or self.client_gone
            checked = None if broke_off else self.checked()
            self.counted, unseen = count(call, plan, self.usage, self.seen, self.kept, checked)
        prompt = self.usage.prompt_tokens or call.prompt_tokens
        spent = ProbeCost(self.discarded_tokens, self.probe_result.cost(prompt)) if self.probe_result else NO_COST
        charged = self.principal.settle(plan, self.counted if ran else Usage(0, 0, 0), unseen, spent)
        if ran:
            self.counted = charged

    def _ran(self, call: Call) -> bool:
        """Whether tokens may have been spent, also such as no backend told of."""
        if self.controller is None or self.sent is None:
            return False
        late = self.error is not None and self.error.may_have_run
        return self.error is None or late or self.seen.any or self.usage.completion_tokens is not None

    def _cost(self) -> float | None:
        """Dollars, with those of a probe that was thrown away; None where the backend did not tell the tokens."""
        usage = self.counted
        if self.plan is None or usage.completion_tokens is None:
            return None
        prompt = usage.prompt_tokens or 0
        probe = self.probe_result.cost(prompt) if self.probe_result else 0.0
        return self.plan.deployment.cost(prompt, usage.completion_tokens) + probe

    def measured(self) -> Timing | None:
        """How fast the backend was; None unless it gave a complete answer."""
        if self.sent is None or self.error is not None or self.client_gone:
            return None
        held_s = self.probe_result.held_s if self.probe_result and self.probe_result.outcome == "kept" else 0.0
        ttft = self.first_token - self.sent - held_s if self.first_token else None
        return Timing(ttft, time.perf_counter() - self.sent, self.usage.completion_tokens or 0, self.principal.key)

    def leave(self, measured: Timing | None) -> None:
        """Give back the place at a deployment, if it has one; `measured` says how fast a whole answer was."""
        if self.controller is not None:
            self.controller.leave(measured)
            self.controller = None

    def record(self) -> Record:
        """The one row of this request."""
        now = time.perf_counter()
        call, decision, plan, usage = self.call, self.decision, self.plan, self.counted
        applied = plan.applied if plan else None
        notes, checked = self._notes(), self.checked()
        probe_result, probe = self.probe_result, self.probe_result.probe if self.probe_result else None
        return Record(
            id=self.id,
            request_id=self.request_id,
            time=self.at,
            dialect=self.dialect,
            status=self.status,
            model=call.model if call else self.model,
            arm=self.arm.name if self.arm else None,
            deployment=plan.deployment.name if plan else None,
            requested=call.asked if call and call.passed is None else None,
            decided=words(decision.effort) if decision else None,
            applied=plan.words if plan else None,
            used=checked.used,
            budget=applied.budget if applied else None,
            reason=decision.reason if decision else None,
            propensity=decision.propensity if decision else None,
            price_token=decision.prices.token if decision else None,
            price_second=decision.prices.second if decision else None,
            forecast=_rows(decision.forecast) if decision and decision.forecast else None,
            router=self.router,
            unit=self.unit,
            notes="; ".join(notes) if notes else None,
            error_type=self.error.type if self.error else None,
            error_code=self.error.code if self.error else None,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            ttft=self.first_token - self.started if self.first_token else None,
            latency=now - self.started,
            decision_ms=self.decision_s * 1000 if self.decision_s is not None else None,
            streamed=call.stream if call else False,
            finish_reason=self.finish_reason,
            client_gone=self.client_gone,
            key=self.principal.key,
            cost=self._cost(),
            queued_ms=self.queued_s * 1000 if self.queued_s else None,
            enforced=self._enforced(),
            verdict=checked.verdict,
            used_from=checked.used_from,
            exceeded=checked.over or None,
            probe=probe_result.outcome if probe_result else None,
            probe_tokens=probe_result.tokens if probe_result else None,
            probe_mean=probe.mean if probe else None,
            probe_min=probe.least if probe else None,
            probe_first_margin=probe.first_margin if probe else None,
            probe_truncated=probe.truncated if probe else None,
            probe_ms=probe_result.seconds * 1000 if probe_result else None,
            forecast_before=_rows(probe_result.before) if probe_result and probe_result.before else None,
            user=self.user,
        )


def _rows(forecast: Forecast) -> str:
    """JSON rows of effort, P(correct), thinking tokens, answer tokens and seconds, exact enough to decide by again."""
    return orjson.dumps([[words(effort), *forecasts] for effort, *forecasts in forecast.efforts]).decode()


def log_failure(context: RequestContext, error: Exception) -> None:
    """Client errors are the client's; a backend's is worth a line; ours need the traceback."""
    if not isinstance(error, GatewayError):
        log.error("request %s failed inside the gateway", context.request_id, exc_info=error)
    elif error.status >= 500:
        backends = error.headers.get(OWN_ID, context.upstream_id)
        its = f"; the backend's id for it: {backends}" if backends else ""
        log.warning("request %s: %s%s", context.request_id, error.for_log(), its)

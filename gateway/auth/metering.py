"""What the principals of one process share: counters, queues, and what recent answers took."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from gateway.auth.key import Clock
from gateway.auth.need import Need
from gateway.auth.quota_queue import QuotaQueues
from gateway.auth.recent_tokens import Kind, RecentTokens
from gateway.auth.reservation import reserve
from gateway.auth.usage_store import UsageStore
from gateway.core import efforts
from gateway.core.call import Call
from gateway.core.efforts import Effort
from gateway.core.plan import Plan
from gateway.core.planned import Planned


@dataclass(frozen=True, slots=True)
class Metering:
    """`longest_thought` and `longest_answer`: tokens that unlimited thinking and an unlimited answer count as;
    `wait_s`: how long a request waits at most for what running ones hold.
    """

    counters: UsageStore
    clock: Clock = time.time
    longest_thought: int = 16_384
    longest_answer: int = 4096
    wait_s: float = 0.0
    recent: RecentTokens = field(default_factory=RecentTokens)
    queues: QuotaQueues = field(default_factory=QuotaQueues)

    def need(self, planned: Planned) -> Need:
        """What a plan needs: at worst, and as its forecast or else recent answers lead to expect."""
        call, plan = planned.call, planned.plan
        thinking, flexible = self._worst(call, plan)
        prompt, completion = reserve(call, plan, thinking, self.longest_answer)
        expected = self._expected(planned)
        usual = self.recent.completion(kind_of(call, plan))
        expected_completion = completion if usual is None else min(usual * call.choices, completion)
        cost = plan.deployment.pricing.cost
        return Need(
            prompt,
            completion,
            expected_completion,
            thinking,
            thinking if expected is None else min(expected * call.choices, thinking),
            cost(prompt, completion),
            cost(prompt, expected_completion),
            flexible,
        )

    def ample(self, planned: Planned) -> int | None:
        """A budget for each choice of an answer that would cut hardly any; None: unknown, or nothing enforces one."""
        call, plan = planned.call, planned.plan
        if plan.enforcement == "none" or call.passthrough is not None:
            return None
        return self.recent.ample(kind_of(call, plan))

    def observe(self, call: Call, plan: Plan, thinking: int, completion: int) -> None:
        """A complete answer took so many tokens, of all its choices together."""
        each = -(-thinking // call.choices), -(-completion // call.choices)
        self.recent.add(kind_of(call, plan), *each)

    def _worst(self, call: Call, plan: Plan) -> tuple[int, bool]:
        """How many tokens thinking may take, and whether that is an estimate, as nothing enforces a budget."""
        applied = _applied(call, plan)
        budget = applied.budget if applied is not None else None
        need = self.longest_thought if budget is None else budget
        return (need if plan.limit is None else min(need, plan.limit)) * call.choices, budget is None

    def _expected(self, planned: Planned) -> int | None:
        """The P90 of the thinking tokens of each choice."""
        decision, applied = planned.decision, _applied(planned.call, planned.plan)
        if decision is not None and decision.forecast is not None and applied is not None:
            forecast = decision.forecast.thinking_p90(applied)
            if forecast is not None:
                return forecast
        return self.recent.thinking(kind_of(planned.call, planned.plan))


def kind_of(call: Call, plan: Plan) -> Kind:
    return Kind.of(plan.deployment.name, _applied(call, plan))


def _applied(call: Call, plan: Plan) -> Effort | None:
    """The applied effort; a raw completion may be all reasoning."""
    return plan.applied if call.passthrough is None else call.most


def is_flexible(call: Call) -> bool:
    """Whether its effort was left to the gateway, or is no number: then it may be lowered."""
    return call.passthrough is None and (call.requested is None or call.requested == efforts.UNLIMITED)

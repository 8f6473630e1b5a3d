"""The principal of one request with an API key: enforces the key's limits and counts usage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.auth import quota
from gateway.auth.key import Clock, Key
from gateway.auth.lane import NONE, Holding
from gateway.auth.principal import NO_COST, ProbeCost
from gateway.auth.reservation import reserve
from gateway.auth.usage_row import UsageRow
from gateway.auth.usage_store import UsageStore
from gateway.core import efforts
from gateway.core.aliases import Headers
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort
from gateway.core.errors import NotAllowed
from gateway.core.plan import Plan
from gateway.core.usage import Usage

# How a client can need less thinking than is left.
_LESS, _LESS_TEXT = "Use a smaller effort, or none.", "Use a smaller max_tokens."
# A body of unknown length reserves bytes in steps of this size.
STEP_BYTES = 1024 * 1024


class KeyPrincipal:
    """A request counts in the minute in which it arrives, its spending in the windows in which it ends."""

    __slots__ = (
        "_clock",
        "_counters",
        "_counts",
        "_key",
        "_limits",
        "_longest",
        "_longest_answer",
        "_prompt",
        "_quota_left",
        "_reserved",
        "_secured",
        "_sent",
        "key",
    )

    def __init__(self, key: Key, counters: UsageStore, clock: Clock, longest_thought: int, longest_answer: int) -> None:
        """`longest_thought` and `longest_answer`: tokens that unlimited thinking and an unlimited answer count as."""
        self.key = key.id
        self._key = key
        self._limits = key.limits
        self._counters = counters
        self._clock = clock
        self._longest, self._longest_answer = longest_thought, longest_answer
        self._counts: UsageRow | None = None
        self._quota_left = -1
        # Thinking tokens reserved for a call that has to be bounded again: no other worker can take them.
        self._secured: int | None = None
        self._reserved = NONE
        self._prompt = 0
        # The call and plan if nothing was reserved: the reservation is computed only if settling needs it.
        self._sent: tuple[Call, Plan] | None = None

    def admit(self, size: int = 0) -> None:
        if not self._limits.counted:
            return
        now = self._clock()
        with self._counters.change(self._key.slot, now) as counts:
            self._counts = counts
            quota.check_requests(self._limits, counts, now, size)
            self._count_in(counts, Holding(1, size))

    def arrived(self, size: int) -> None:
        limit = self._limits.max_bytes_in_flight
        if limit is None or size <= self._reserved.bytes:
            return
        with self._counters.change(self._key.slot, self._clock()) as counts:
            others = counts.bytes - self._reserved.bytes
            quota.check_bytes(limit, others, size)
            wanted = min(-(-size // STEP_BYTES) * STEP_BYTES, limit - others)
            counts.bytes += wanted - self._reserved.bytes
            self._reserved = self._reserved._replace(bytes=wanted)

    def _count_in(self, counts: UsageRow, reservation: Holding) -> None:
        counts.requests += 1
        counts.running += reservation.running
        counts.bytes += reservation.bytes
        self._reserved = reservation

    def leave(self) -> None:
        if self._reserved.running:
            with self._counters.change(self._key.slot, self._clock()) as counts:
                self._release(counts)
                self._counts = counts

    def __enter__(self) -> KeyPrincipal:
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()

    def may_use(self, model: str) -> bool:
        return self._limits.models is None or model in self._limits.models

    def check_model(self, model: str) -> None:
        if not self.may_use(model):
            names = ", ".join(self._limits.models or ())
            message = f"This key may not use the model {model[:100]!r}. It may use: {names}."
            raise NotAllowed(message, param="model", code="model_not_allowed")

    def ceiling(self, levels: Mapping[str, Effort]) -> Effort | None:
        ceiling = self._limits.ceiling
        if ceiling is None:
            return None
        return levels[ceiling] if isinstance(ceiling, str) else efforts.from_budget(ceiling)

    def bound(self, call: Call, levels: Mapping[str, Effort], arm: Arm) -> Call:
        most = self.ceiling(levels)
        if call.passthrough is not None:
            return self._bound_passthrough(call, most, arm)
        if most is not None and call.requested is not None and efforts.size(call.requested) > efforts.size(most):
            names = ", ".join(name for name, level in levels.items() if efforts.size(level) <= efforts.size(most))
            raise NotAllowed(
                f"This key allows at most {efforts.words(most)} thinking tokens, not {call.effort_word}."
                f" It may use: {names}.",
                param=call.effort_param,
                code="effort_not_allowed",
            )
        note = ""
        if call.requested is None or call.requested == UNLIMITED:
            left, note = self._left(call, arm)
            if left is not None:
                most = left if most is None else min(most, left, key=efforts.size)
        ever = self.ceiling(levels)
        if most is None:
            return replace(call, guarded=True) if self._has_thinking_quota else call
        return replace(
            call,
            ceiling=most if call.ceiling is None else min(most, call.ceiling, key=efforts.size),
            most=most,
            guarded=self._has_thinking_quota or ever not in (None, UNLIMITED),
            key_ceiling=ever,
            note="; ".join(filter(None, (call.note, note))),
        )

    def reserve(self, call: Call, plan: Plan) -> bool:
        if not self._limits.of_spending:
            self._sent = call, plan
            return True
        need, flexible = self._thinking_need(call, plan)
        now = self._clock()
        with self._counters.change(self._key.slot, now) as counts:
            self._counts = counts
            if not self._reserved.running:
                quota.check_requests(self._limits, counts, now, 0)
                self._count_in(counts, Holding(1))
            _add(counts, self._reserved, -1)  # the reservation for an earlier plan of the same request
            if not self._reserved.tokens:
                quota.check_tokens(self._limits, counts, now)
            window = quota.thinking(self._limits, counts, now)
            if window is not None and need > window.left:
                left = int(window.left)
                if flexible and left:
                    need = left
                elif need <= self._quota_left and self._secured is None:
                    self._secured = left
                    self._reserved = Holding(*self._reserved[:2], thinking=left)
                    _add(counts, self._reserved, 1)
                    return False
                else:
                    raise quota.no_thinking_left(window, need, _LESS if call.passthrough is None else _LESS_TEXT)
            wanted = self._reservation(call, plan, need)
            quota.check_dollars(self._limits, counts, now, wanted.dollars)
            _add(counts, wanted, 1)
            self._reserved, self._secured = wanted, None
        return True

    def settle(self, plan: Plan, usage: Usage, unseen: bool = False, spent: ProbeCost = NO_COST) -> Usage:
        now = self._clock()
        prompt, completion, thought = self._used(usage, unseen)
        dollars = plan.deployment.pricing.cost(prompt, completion, usage.cached_tokens or 0) + spent.dollars
        tokens, thoughts = completion + spent.tokens, thought + spent.tokens
        with self._counters.change(self._key.slot, now) as counts:
            self._counts = counts
            if self._reserved.running:
                self._release(counts)
            else:  # nothing limits the key
                counts.requests += 1
            counts.tokens += prompt + tokens
            counts.hour_used += thoughts
            counts.day_used += thoughts
            counts.day_dollars += dollars
            counts.month_dollars += dollars
            counts.last_used = now
            counts.all_requests += 1
            counts.all_prompt += prompt
            counts.all_completion += tokens
            counts.all_thinking += thoughts
            counts.all_dollars += dollars
        return Usage(prompt, completion, usage.reasoning_tokens, usage.cached_tokens)

    def _reservation(self, call: Call, plan: Plan, thought: int) -> Holding:
        """The reservation for a plan that may think `thought` tokens, on top of its place."""
        prompt, completion = reserve(call, plan, thought, self._longest_answer)
        self._prompt = prompt
        return Holding(
            self._reserved.running,
            self._reserved.bytes,
            prompt + completion,
            thought,
            plan.deployment.pricing.cost(prompt, completion),
        )

    def _release(self, counts: UsageRow) -> None:
        counts.give_back(self._reserved)
        self._reserved = NONE

    def headers(self) -> Headers:
        return {} if self._counts is None else quota.headers(self._limits, self._counts, self._clock())

    def _bound_passthrough(self, call: Call, most: Effort | None, arm: Arm) -> Call:
        """A raw completion may be all reasoning where the model can think, so its token limit bounds its thinking."""
        guarded = self._has_thinking_quota or most not in (None, UNLIMITED)
        if not arm.passthrough_may_think:
            return replace(call, most=NO_THINKING, guarded=guarded)
        longest = efforts.from_budget(call.limit)
        if most is not None and efforts.size(longest) > efforts.size(most):
            reason = f"This key allows {efforts.words(most)} thinking tokens, and a raw completion may be all reasoning"
            raise NotAllowed(
                f"{reason}: lower max_tokens, or use a chat endpoint.", param="max_tokens", code="effort_not_allowed"
            )
        if call.limit is None and self._has_thinking_quota:
            message = "A raw completion may be all reasoning, for which this key has a quota: max_tokens must be set."
            raise NotAllowed(message, param="max_tokens", code="effort_not_allowed")
        return replace(call, most=longest, guarded=guarded)

    @property
    def _has_thinking_quota(self) -> bool:
        return self._limits.thinking_per_hour is not None or self._limits.thinking_per_day is not None

    def _left(self, call: Call, arm: Arm) -> tuple[Effort | None, str]:
        """The most thinking that the quota leaves for an effort that is not a number, and a note for the client."""
        if not self._has_thinking_quota:
            return None, ""
        now = self._clock()
        self._counts = counts = self._counters.read(self._key.slot, now)
        window = quota.thinking(self._limits, counts, now)
        if window is None:
            return None, ""
        self._quota_left = int(window.left) if self._secured is None else self._secured
        # Each choice thinks separately.
        left = self._quota_left // call.choices
        if call.requested is not None and not left:
            raise quota.no_thinking_left(window, call.choices, _LESS)
        wanted = arm.efforts[-1] if call.requested is None else call.requested
        note = ""
        if left < min(efforts.size(wanted), self._longest):
            note = f"the key has {self._quota_left} thinking tokens left for this {window.name}"
        elif call.requested is not None:
            note = f"for this key, unlimited is {self._longest} thinking tokens"
        return efforts.from_budget(min(left, self._longest)), note

    def _thinking_need(self, call: Call, plan: Plan) -> tuple[int, bool]:
        """How many tokens thinking may take, and whether that is an estimate: then any smaller amount will do."""
        applied = plan.applied if call.passthrough is None else call.most
        budget = applied.budget if applied is not None else None
        need = self._longest if budget is None else budget
        return (need if call.limit is None else min(need, call.limit)) * call.choices, budget is None

    def _used(self, usage: Usage, unseen: bool) -> tuple[int, int, int]:
        """Prompt, completion and thinking tokens to be charged."""
        if self._sent is not None and None in (usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens):
            call, plan = self._sent
            self._reserved = self._reservation(call, plan, self._thinking_need(call, plan)[0])
        reservation = self._reserved
        prompt = usage.prompt_tokens if usage.prompt_tokens is not None else self._prompt
        if usage.completion_tokens is None:
            return prompt, reservation.tokens - self._prompt, reservation.thinking
        completion = usage.completion_tokens + (reservation.thinking if unseen else 0)
        thought = usage.reasoning_tokens
        return prompt, completion, min(completion, reservation.thinking) if thought is None else thought


def _add(counts: UsageRow, reservation: Holding, sign: int) -> None:
    """Reserve tokens and dollars (`sign` 1), or release them (-1)."""
    counts.held_tokens = max(counts.held_tokens + sign * reservation.tokens, 0)
    counts.held_thinking = max(counts.held_thinking + sign * reservation.thinking, 0)
    counts.held_dollars = max(counts.held_dollars + sign * reservation.dollars, 0.0)

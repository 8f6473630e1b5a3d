"""The holder of a key, for one request: bounded by the key's limits, and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway import efforts
from gateway.access import quota
from gateway.access.counters import Counters
from gateway.access.counts import Counts
from gateway.access.key import Clock, Key
from gateway.access.limits import Limits
from gateway.access.visitor import NOTHING, Spent
from gateway.errors import NotAllowed
from gateway.types import NO_THINKING, UNLIMITED, Arm, Call, Effort, Headers, Plan, Usage

# What an answer counts as until it is there, in tokens, when the client set no limit.
USUAL_ANSWER = 256
# How to need less thinking than is left.
_LESS, _LESS_TEXT = "Name a smaller effort, or none.", "Name a smaller max_tokens."


class Holder:
    """A request counts in the windows in which it began, however long it takes."""

    __slots__ = (
        "_clock",
        "_counters",
        "_counts",
        "_dollars",
        "_held",
        "_key",
        "_longest",
        "_seen",
        "_taken",
        "_tokens",
        "key",
    )

    def __init__(self, key: Key, counters: Counters, clock: Clock, longest_thought: int) -> None:
        """`longest_thought`: what an unlimited thought is, in tokens, where the key has a quota of them."""
        self.key = key.id
        self._key = key
        self._counters = counters
        self._clock = clock
        self._longest = longest_thought
        self._counts: Counts | None = None
        self._seen = -1
        self._held = 0
        self._taken: Counts | None = None
        self._tokens = (0, 0)
        self._dollars = 0.0

    def may_use(self, model: str) -> bool:
        return self._limits.models is None or model in self._limits.models

    def check_model(self, model: str) -> None:
        if not self.may_use(model):
            names = ", ".join(self._limits.models or ())
            said = f"This key may not use the model {model[:100]!r}. It may use: {names}."
            raise NotAllowed(said, param="model", code="model_not_allowed")

    def ceiling(self, levels: Mapping[str, Effort]) -> Effort | None:
        ceiling = self._limits.ceiling
        if ceiling is None:
            return None
        return levels[ceiling] if isinstance(ceiling, str) else efforts.from_budget(ceiling)

    def bound(self, call: Call, levels: Mapping[str, Effort], arm: Arm) -> Call:
        most = self.ceiling(levels)
        if call.passed is not None:
            return self._bound_passed(call, most, arm)
        if most is not None and call.requested is not None and efforts.size(call.requested) > efforts.size(most):
            names = ", ".join(name for name, level in levels.items() if efforts.size(level) <= efforts.size(most))
            said = f"This key may think {efforts.words(most)} tokens at most, not {call.asked}. It may use: {names}."
            raise NotAllowed(said, param=call.named_in, code="effort_not_allowed")
        note = ""
        if call.requested is None or call.requested == UNLIMITED:
            left, note = self._left(call, arm)
            if left is not None:
                most = left if most is None else min(most, left, key=efforts.size)
        if most is None:
            return call
        ceiling = most if call.ceiling is None else min(most, call.ceiling, key=efforts.size)
        return replace(call, ceiling=ceiling, most=most, note="; ".join(filter(None, (call.note, note))))

    def take(self, call: Call, plan: Plan) -> bool:
        if not self._limits.counted:
            return True
        now = self._clock()
        with self._counters.change(self._key.slot, now) as counts:
            self._counts = counts
            if self._taken is not None:
                self._give_back(counts, self._taken)
            else:
                quota.check_others(self._limits, counts, now)
            need, flexible = self._thought(call, plan)
            window = quota.thinking(self._limits, counts, now)
            if window is not None and need > window.left:
                if flexible and window.left:
                    need = int(window.left)
                elif need <= self._seen:
                    self._held, self._tokens, self._dollars = 0, (0, 0), 0.0
                    return False
                else:
                    raise quota.no_thinking_left(window, need, _LESS if call.passed is None else _LESS_TEXT)
            self._held = need
            prompt = call.prompt_tokens
            completion = need + USUAL_ANSWER * call.choices
            self._tokens = prompt, completion if call.limit is None else min(completion, call.limit * call.choices)
            counts.requests += self._taken is None
            counts.hour_held += need
            counts.day_held += need
            counts.tokens += sum(self._tokens)
            self._dollars = plan.deployment.cost(*self._tokens)
            counts.dollars_held += self._dollars
            self._taken = counts
        return True

    def settle(self, plan: Plan, usage: Usage, ran: bool, spent: Spent = NOTHING) -> None:
        now = self._clock()
        prompt, completion, thought = self._used(usage, ran)
        dollars = plan.deployment.cost(prompt, completion) + spent.dollars
        completion += spent.tokens
        thought += spent.tokens
        tokens = prompt + completion - sum(self._tokens)
        with self._counters.change(self._key.slot, now) as counts:
            then, self._counts = self._taken or self._counts or counts, counts
            if then is counts:  # nothing was set aside
                counts.requests += 1
            if counts.minute == then.minute:
                counts.tokens = max(counts.tokens + tokens, 0)
            self._release(counts, then)
            if counts.hour == then.hour:
                counts.hour_used += thought
            if counts.day == then.day:
                counts.day_used += thought
                counts.day_dollars += dollars
            if counts.month == then.month:
                counts.month_dollars += dollars
            counts.last_used = now
            counts.all_requests += 1
            counts.all_prompt += prompt
            counts.all_completion += completion
            counts.all_thinking += thought
            counts.all_dollars += dollars

    def _give_back(self, counts: Counts, then: Counts) -> None:
        """What was set aside for another plan of the same request, in the windows of `then`."""
        if counts.minute == then.minute:
            counts.tokens = max(counts.tokens - sum(self._tokens), 0)
        self._release(counts, then)

    def _release(self, counts: Counts, then: Counts) -> None:
        # A clock that went to and fro may have emptied what this is taken from.
        if counts.hour == then.hour:
            counts.hour_held = max(counts.hour_held - self._held, 0)
        if counts.day == then.day:
            counts.day_held = max(counts.day_held - self._held, 0)
            counts.dollars_held = max(counts.dollars_held - self._dollars, 0.0)

    def headers(self) -> Headers:
        return {} if self._counts is None else quota.headers(self._limits, self._counts, self._clock())

    @property
    def _limits(self) -> Limits:
        return self._key.limits

    def _bound_passed(self, call: Call, most: Effort | None, arm: Arm) -> Call:
        """Nobody can tell what of a raw answer is a thought, so all of it may be one where the model can think.

        Its limit then is how much it may think; else there is none to think about.
        """
        if not arm.passed_may_think:
            return replace(call, most=NO_THINKING)
        longest = efforts.from_budget(call.limit)
        if most is not None and efforts.size(longest) > efforts.size(most):
            said = f"This key may think {efforts.words(most)} tokens at most, and a raw answer may be all thought"
            raise NotAllowed(f"{said}: lower max_tokens, or chat.", param="max_tokens", code="effort_not_allowed")
        if call.limit is None and self._has_thinking_quota:
            said = "A raw answer may be all thought, of which this key has a quota: max_tokens must be set."
            raise NotAllowed(said, param="max_tokens", code="effort_not_allowed")
        return replace(call, most=longest)

    @property
    def _has_thinking_quota(self) -> bool:
        return self._limits.thinking_per_hour is not None or self._limits.thinking_per_day is not None

    def _left(self, call: Call, arm: Arm) -> tuple[Effort | None, str]:
        """The most that the quota leaves for an effort that is not a number, and what the client is to know of it."""
        if not self._has_thinking_quota:
            return None, ""
        now = self._clock()
        self._counts = counts = self._counters.read(self._key.slot, now)
        window = quota.thinking(self._limits, counts, now)
        assert window is not None, "there is a quota"
        self._seen = int(window.left)
        # Each choice thinks for itself.
        left = self._seen // call.choices
        if call.requested is not None and not left:
            raise quota.no_thinking_left(window, call.choices, _LESS)
        wanted = arm.efforts[-1] if call.requested is None else call.requested
        note = ""
        if left < min(efforts.size(wanted), self._longest):
            note = f"the key has {self._seen} thinking tokens left for this {window.name}"
        elif call.requested is not None:
            note = f"for this key, unlimited is {self._longest} thinking tokens"
        return efforts.from_budget(min(left, self._longest)), note

    def _thought(self, call: Call, plan: Plan) -> tuple[int, bool]:
        """How many tokens the thought may take, and whether that is a guess: then less will do, if there is any."""
        applied = plan.applied if call.passed is None else call.most
        if applied is None and call.requested is not None and not call.requested.think:
            return 0, True
        budget = applied.budget if applied is not None else None
        need = self._longest if budget is None else budget
        return (need if call.limit is None else min(need, call.limit)) * call.choices, budget is None

    def _used(self, usage: Usage, ran: bool) -> tuple[int, int, int]:
        """Prompt, completion and thinking tokens to be charged."""
        if usage.completion_tokens is None:
            return (*self._tokens, self._held) if ran else (0, 0, 0)
        thought = usage.reasoning_tokens
        if thought is None:
            thought = min(usage.completion_tokens, self._held)
        return usage.prompt_tokens or 0, usage.completion_tokens, thought

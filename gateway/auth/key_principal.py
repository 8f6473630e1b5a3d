"""The principal of one request with an API key: what the key may use, within its own limits and its team's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from gateway.auth.key import Key
from gateway.auth.ledger import Ledger, Spent
from gateway.auth.metering import Metering, is_flexible
from gateway.auth.principal import NO_COST, Choose, ProbeCost
from gateway.auth.quota import HeldByRunning, NoThinkingLeft, no_thinking_left
from gateway.core import efforts
from gateway.core.aliases import Headers
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort
from gateway.core.errors import NotAllowed
from gateway.core.plan import Plan
from gateway.core.planned import Planned
from gateway.core.usage import Usage

# How a client can need less thinking than is left.
_LESS, _LESS_TEXT = "Use a smaller effort, or none.", "Use a smaller max_tokens."

# How often other processes may use some of a quota just between a decision and its reservation.
RACES = 5


class _Allowance(NamedTuple):
    """The most thinking that quotas leave now, a note for the client, and the most where they lower nothing."""

    most: Effort
    note: str
    unlowered: Effort | None


class KeyPrincipal:
    __slots__ = (
        "_ledger",
        "_limits",
        "_metering",
        "_of_spending",
        "_of_thinking",
        "_planned",
        "_secured",
        "_slot",
        "key",
        "team",
        "waited_s",
    )

    def __init__(self, key: Key, metering: Metering) -> None:
        self.key: str | None = key.id
        self.team = key.team_name
        self.waited_s = 0.0
        self._limits, self._slot = key.limits, key.slot
        accounts = key.accounts
        self._of_spending = any(account.limits.of_spending for account in accounts)
        self._of_thinking = any(account.limits.of_thinking for account in accounts)
        self._metering = metering
        self._ledger = Ledger(accounts, metering.counters, metering.clock)
        # Thinking tokens reserved for a call that has to be bounded again: no other request can take them.
        self._secured: int | None = None
        self._planned: Planned | None = None

    def admit(self, size: int = 0) -> None:
        self._ledger.admit(size)

    def arrived(self, size: int) -> None:
        self._ledger.arrived(size)

    def leave(self) -> None:
        if self._ledger.leave():
            self._metering.queues.freed(self._ledger.slots)

    def __enter__(self) -> KeyPrincipal:
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()

    def headers(self) -> Headers:
        return self._ledger.headers()

    def may_use(self, model: str) -> bool:
        return self._limits.models is None or model in self._limits.models

    def check_model(self, model: str) -> None:
        if not self.may_use(model):
            names = ", ".join(self._limits.models or ())
            message = f"This key may not use the model {model[:100]!r}. It may use: {names}."
            raise NotAllowed(message, param="model", code="model_not_allowed")

    def ceiling(self, levels: Mapping[str, Effort]) -> Effort | None:
        return _effort(self._limits.ceiling, levels)

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
        floor = _effort(self._limits.floor, levels)
        if floor is not None:
            call = replace(call, floor=floor)
        note, ever, unlowered = "", most, None
        if self._of_thinking and is_flexible(call):
            allowed = self._allowance(call, arm)
            note, unlowered = allowed.note, allowed.unlowered and _lower(allowed.unlowered, ever)
            most = _lower(allowed.most, ever)
        if most is None:
            return replace(call, guarded=True) if self._of_thinking else call
        return replace(
            call,
            ceiling=_lower(most, call.ceiling),
            most=most,
            guarded=self._of_thinking or ever not in (None, UNLIMITED),
            key_ceiling=ever,
            note="; ".join(filter(None, (call.note, note))),
            unlowered=unlowered,
        )

    async def reserve(self, choose: Choose) -> Planned:
        planned = self._planned = choose(None)
        if not self._of_spending:
            return planned
        if not self._metering.queues.length(self._slot) or not planned.plan.effort.think:
            try:
                return self._hold(planned)
            except HeldByRunning:
                pass
            except NoThinkingLeft:
                if not is_flexible(planned.call):
                    raise
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            return await self._wait(choose, planned, began)
        finally:
            self.waited_s += loop.time() - began

    def exchange(self, planned: Planned) -> None:
        if self._of_spending:
            self._hold(planned)
        self._planned = planned

    async def _wait(self, choose: Choose, planned: Planned, began: float) -> Planned:
        """The plan that is reserved once what running requests hold is free, or a lower one at the end."""
        metering, raced = self._metering, 0
        due = began + min(metering.wait_s, planned.plan.deployment.timeouts.total_timeout_s)
        async with metering.queues.turn(self._slot, due) as waits:
            while True:
                planned = choose(None)  # some of the quota may have been used since the last time
                try:
                    return self._hold(planned)
                except HeldByRunning as error:
                    held = error
                except NoThinkingLeft:
                    raced += 1
                    if raced == RACES or not is_flexible(planned.call):
                        raise
                    continue
                ample = self._with_ample_budget(choose, planned)
                if ample is not None:
                    return ample
                waits = waits and await metering.queues.look_again(self._ledger.slots, due)
                if not waits:
                    return self._with_what_is_left(choose, planned, held)

    def _with_ample_budget(self, choose: Choose, planned: Planned) -> Planned | None:
        """The same effort with a lower budget that such answers hardly ever reach; None: there is none, or no room."""
        call, ample = planned.call, self._metering.ample(planned)
        if ample is None or not is_flexible(call):
            return None
        room = min([window.room for window in self._ledger.windows()], default=0) // call.choices
        if room < ample:
            return None
        budget = max(ample, room // (1 + self._ledger.running))
        if self._ledger.secure(budget * call.choices) < budget * call.choices:
            return None
        try:
            return self._hold(choose(efforts.from_budget(budget)))
        except HeldByRunning:  # it is not thinking that is short
            return None

    def _with_what_is_left(self, choose: Choose, planned: Planned, held: HeldByRunning) -> Planned:
        """A plan within what running requests leave. HeldByRunning: that is not for the gateway to lower."""
        call = planned.call
        if not self._of_thinking or not is_flexible(call):
            raise held
        self._secured = self._ledger.secure(self._metering.longest_thought * call.choices)
        try:
            if self._secured < call.choices and call.requested is not None:
                raise held
            return self._hold(choose(None))
        finally:
            self._secured = None

    def _hold(self, planned: Planned) -> Planned:
        self._ledger.hold(self._metering.need(planned), _LESS if planned.call.passthrough is None else _LESS_TEXT)
        self._planned = planned
        return planned

    def settle(
        self,
        plan: Plan,
        usage: Usage,
        unseen: bool = False,
        spent: ProbeCost = NO_COST,
        complete: bool = False,
        degraded: bool = False,
    ) -> Usage:
        prompt, completion, thought = self._used(usage, unseen)
        if complete and self._of_spending and self._planned is not None:
            self._metering.observe(self._planned.call, plan, thought, completion)
        dollars = plan.deployment.pricing.cost(prompt, completion, usage.cached_tokens or 0) + spent.dollars
        tokens = completion + spent.tokens
        self._ledger.settle(Spent(prompt, tokens, thought + spent.tokens, dollars, degraded))
        self._metering.queues.freed(self._ledger.slots)
        return Usage(prompt, completion, usage.reasoning_tokens, usage.cached_tokens)

    def _bound_passthrough(self, call: Call, most: Effort | None, arm: Arm) -> Call:
        """A raw completion may be all reasoning where the model can think, so its token limit bounds its thinking."""
        guarded = self._of_thinking or most not in (None, UNLIMITED)
        if not arm.passthrough_may_think:
            return replace(call, most=NO_THINKING, guarded=guarded)
        longest = efforts.from_budget(call.limit)
        if most is not None and efforts.size(longest) > efforts.size(most):
            reason = f"This key allows {efforts.words(most)} thinking tokens, and a raw completion may be all reasoning"
            raise NotAllowed(
                f"{reason}: lower max_tokens, or use a chat endpoint.", param="max_tokens", code="effort_not_allowed"
            )
        if call.limit is None and self._of_thinking:
            message = "A raw completion may be all reasoning, for which this key has a quota: max_tokens must be set."
            raise NotAllowed(message, param="max_tokens", code="effort_not_allowed")
        return replace(call, most=longest, guarded=guarded)

    def _allowance(self, call: Call, arm: Arm) -> _Allowance:
        """How much an effort that is not a number may think: as much as was not used yet, whoever holds it now."""
        windows, longest = self._ledger.windows(), self._metering.longest_thought
        window = min(windows, key=lambda window: window.unused)
        total = window.unused if self._secured is None else self._secured
        # Each choice thinks separately.
        left, ever = total // call.choices, min(longest, *[window.limit // call.choices for window in windows])
        if call.requested is not None and not left:
            raise no_thinking_left(window, call.choices, _LESS)
        wanted = arm.efforts[-1] if call.requested is None else call.requested
        most, note, unlowered = efforts.from_budget(min(left, longest)), "", None
        if left < min(efforts.size(wanted), ever):
            note = f"the {window.whose} has {total} thinking tokens left for this {window.name}"
            note += "" if self._secured is None else ", beside running requests"
            unlowered = efforts.from_budget(ever)
        elif call.requested is not None:
            note = f"for this {window.whose}, unlimited is {ever} thinking tokens"
        return _Allowance(most, note, unlowered)

    def _used(self, usage: Usage, unseen: bool) -> tuple[int, int, int]:
        """Prompt, completion and thinking tokens to be charged."""
        need = self._ledger.need
        known = None not in (usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens)
        if not known and not self._of_spending and self._planned is not None:
            need = self._metering.need(self._planned)
        prompt = usage.prompt_tokens if usage.prompt_tokens is not None else need.prompt
        if usage.completion_tokens is None:
            return prompt, need.completion, need.thinking
        completion = usage.completion_tokens + (need.thinking if unseen else 0)
        thought = usage.reasoning_tokens
        return prompt, completion, min(completion, need.thinking) if thought is None else thought


def _effort(given: str | int | None, levels: Mapping[str, Effort]) -> Effort | None:
    """By the levels of a model."""
    if given is None:
        return None
    return levels[given] if isinstance(given, str) else efforts.from_budget(given)


def _lower(one: Effort, other: Effort | None) -> Effort:
    return one if other is None else min(one, other, key=efforts.size)

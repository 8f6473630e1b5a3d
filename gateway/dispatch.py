"""From a plan to the reply of a deployment: a place at it, the request, and those that stand in where it fails."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

from gateway.abilities import Abilities
from gateway.backends import faults
from gateway.backends.admission import Gate
from gateway.backends.reply import Reply
from gateway.enforcement.keeper import Keeper
from gateway.errors import BackendUnreachable, GatewayError, InvalidRequest, Overloaded, SignInRefused
from gateway.exchange import Exchange
from gateway.families.compiler import stand_in
from gateway.families.terms import Terms
from gateway.types import Call, Deployment, Plan
from gateway.upstream import Upstream

# Keys whose salt is remembered.
SALTS = 4096
Gates = Mapping[str, Gate]
Fallbacks = Mapping[str, tuple[Deployment, ...]]


class Dispatch:
    """`fallbacks` has the deployments that stand in for another one, in order; `fell_back` is told whom one did for.

    `salt` makes of a key's id what its prompts are cached under.
    """

    def __init__(
        self,
        upstream: Upstream,
        gates: Gates,
        fallbacks: Fallbacks,
        abilities: Abilities,
        fell_back: Callable[[str], None] = lambda _: None,
        salt: Callable[[str], str] = lambda _: "",
    ) -> None:
        self.gates = gates
        self._upstream = upstream
        self._fallbacks = fallbacks
        self._enforce = abilities.enforcement
        self._keeper = Keeper(upstream, abilities)
        self._fell_back = fell_back
        self._salt = lru_cache(SALTS)(salt)

    async def send(self, exchange: Exchange, call: Call, plan: Plan, terms: Terms) -> Reply:
        """The reply with status 200, of the plan's deployment or of one that stands in; `exchange.plan` says which.

        GatewayError: nobody can answer, or the client itself must mend something. A client that tries again by itself
        does get a fallback, though no other replica: its every try would meet the same dead deployment.
        """
        # Token ids and vectors mean something to their own model only.
        others = [] if call.passed else [*self._fallbacks[plan.deployment.name]]
        while others:
            try:
                if self._upstream.in_break(plan.deployment.name, call):
                    raise BackendUnreachable(f"The backend {plan.deployment.name} keeps failing.")
                return await self._ask(exchange, call, plan)
            except GatewayError as error:
                instead = self._stand_in(call, plan, others, terms, error) if _may_stand_in(error) else None
                if instead is None:
                    raise
                self._fell_back(plan.deployment.name)
                exchange.leave(None)
                exchange.plan = plan = instead
                exchange.visitor.take(call, plan)
        return await self._ask(exchange, call, plan)

    def _stand_in(
        self, call: Call, plan: Plan, others: list[Deployment], terms: Terms, why: GatewayError
    ) -> Plan | None:
        """The plan for the first of the others that may get this call; those before it are taken out."""
        while others:
            try:
                return stand_in(call, plan, others.pop(0), terms, why.code, self._enforce)
            except InvalidRequest:
                continue  # its clients may not send this, or it cannot be held to what the key allows
        return None

    def is_open(self, deployment: Deployment) -> bool:
        """Whether it may be asked at all."""
        return not self._upstream.in_break(deployment.name)

    async def enter(self, exchange: Exchange, call: Call, deployment: Deployment, patience_s: float = math.inf) -> None:
        """Take a place at a deployment, unless the exchange has one there already. Overloaded: there is none in time.

        The time for the whole answer begins with the first place that is asked for.
        """
        now = time.perf_counter()
        if exchange.dispatched is None:
            exchange.dispatched = now
        gate = self.gates[deployment.name]
        if exchange.gate is gate:
            return
        exchange.leave(None)
        if not gate.try_enter(call.batch):
            left_s = deployment.total_timeout_s - (now - exchange.dispatched)
            exchange.queued_s += await gate.enter(call.batch, min(left_s, patience_s), exchange.visitor.key)
        exchange.gate = gate

    async def post(self, exchange: Exchange, call: Call, plan: Plan) -> Reply:
        """To the plan's deployment, where the exchange has a place, and to no other."""
        assert exchange.dispatched is not None, "who has a place has asked for it"
        exchange.sent = time.perf_counter()
        plan = self._salted(plan, call, exchange.visitor.key)
        return await self._keeper.post(plan, call, exchange.sent - exchange.dispatched)

    def _salted(self, plan: Plan, call: Call, key: str | None) -> Plan:
        """With what keeps the prompts of a key's holder apart from others' in the engine's cache."""
        deployment = plan.deployment
        field = deployment.family.salt_field
        generates = call.passed is None or call.passed.holds == "choices"
        if key is None or field is None or not deployment.salted or not generates:
            return plan
        return replace(plan, body={**plan.body, field: self._salt(key)})

    async def _ask(self, exchange: Exchange, call: Call, plan: Plan) -> Reply:
        await self.enter(exchange, call, plan.deployment)
        return await self.post(exchange, call, plan)


def _may_stand_in(error: GatewayError) -> bool:
    return isinstance(error, Overloaded | SignInRefused) or faults.elsewhere(error)

"""From a plan to the reply of a deployment: a place at it, the request, and those that stand in where it fails."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

from gateway.backends import failures
from gateway.backends.admission import AdmissionController
from gateway.backends.capabilities import Capabilities
from gateway.backends.reply import Reply
from gateway.backends.transport import Transport
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.errors import BackendUnreachable, GatewayError, InvalidRequest, Overloaded, SignInRefused
from gateway.core.plan import Plan
from gateway.execution.context import RequestContext
from gateway.execution.enforcement.enforcer import BudgetEnforcer
from gateway.families.compiler import stand_in
from gateway.families.model_limits import ModelLimits

# Keys whose salt is remembered.
SALTS = 4096
Gates = Mapping[str, AdmissionController]
Fallbacks = Mapping[str, tuple[Deployment, ...]]


class Dispatch:
    """`fallbacks` has the deployments that stand in for another one, in order; `fell_back` is told whom one did for.

    `salt` makes of a key's id what its prompts are cached under.
    """

    def __init__(
        self,
        transport: Transport,
        admission: Gates,
        fallbacks: Fallbacks,
        capabilities: Capabilities,
        fell_back: Callable[[str], None] = lambda _: None,
        salt: Callable[[str], str] = lambda _: "",
    ) -> None:
        self.admission = admission
        self._transport = transport
        self._fallbacks = fallbacks
        self._enforce = capabilities.enforcement
        self._enforcer = BudgetEnforcer(transport, capabilities)
        self._fell_back = fell_back
        self._salt = lru_cache(SALTS)(salt)

    async def send(self, context: RequestContext, call: Call, plan: Plan, terms: ModelLimits) -> Reply:
        """The reply with status 200, of the plan's deployment or of one that stands in; `exchange.plan` says which.

        GatewayError: nobody can answer, or the client itself must mend something. A client that tries again by itself
        does get a fallback, though no other replica: its every try would meet the same dead deployment.
        """
        # Token ids and vectors mean something to their own model only.
        others = [] if call.passed else [*self._fallbacks[plan.deployment.name]]
        while others:
            try:
                if self._transport.in_break(plan.deployment.name, call):
                    raise BackendUnreachable(f"The backend {plan.deployment.name} keeps failing.")
                return await self._ask(context, call, plan)
            except GatewayError as error:
                instead = self._stand_in(call, plan, others, terms, error) if _may_stand_in(error) else None
                if instead is None:
                    raise
                self._fell_back(plan.deployment.name)
                context.leave(None)
                context.plan = plan = instead
                context.principal.take(call, plan)
        return await self._ask(context, call, plan)

    def _stand_in(
        self, call: Call, plan: Plan, others: list[Deployment], terms: ModelLimits, why: GatewayError
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
        return not self._transport.in_break(deployment.name)

    async def enter(
        self, context: RequestContext, call: Call, deployment: Deployment, patience_s: float = math.inf
    ) -> None:
        """Take a place at a deployment, unless the exchange has one there already. Overloaded: there is none in time.

        The time for the whole answer begins with the first place that is asked for.
        """
        now = time.perf_counter()
        if context.dispatched is None:
            context.dispatched = now
        controller = self.admission[deployment.name]
        if context.controller is controller:
            return
        context.leave(None)
        if not controller.try_enter(call.batch):
            left_s = deployment.total_timeout_s - (now - context.dispatched)
            context.queued_s += await controller.enter(call.batch, min(left_s, patience_s), context.principal.key)
        context.controller = controller

    async def post(self, context: RequestContext, call: Call, plan: Plan) -> Reply:
        """To the plan's deployment, where the exchange has a place, and to no other."""
        assert context.dispatched is not None, "who has a place has asked for it"
        context.sent = time.perf_counter()
        plan = self._salted(plan, call, context.principal.key)
        return await self._enforcer.post(plan, call, context.sent - context.dispatched)

    def _salted(self, plan: Plan, call: Call, key: str | None) -> Plan:
        """With what keeps the prompts of a key's holder apart from others' in the engine's cache."""
        deployment = plan.deployment
        field = deployment.family.salt_field
        generates = call.passed is None or call.passed.holds == "choices"
        if key is None or field is None or not deployment.salted or not generates:
            return plan
        return replace(plan, body={**plan.body, field: self._salt(key)})

    async def _ask(self, context: RequestContext, call: Call, plan: Plan) -> Reply:
        await self.enter(context, call, plan.deployment)
        return await self.post(context, call, plan)


def _may_stand_in(error: GatewayError) -> bool:
    return isinstance(error, Overloaded | SignInRefused) or failures.is_retryable(error)

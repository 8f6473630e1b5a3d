"""From a plan to the reply of a deployment: a place at it, the request, and those that stand in where it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from gateway.backends import failures
from gateway.backends.capabilities import Capabilities
from gateway.backends.reply import Reply
from gateway.backends.transport import Transport
from gateway.core.backend_errors import BackendUnreachable, SignInRefused
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.errors import GatewayError, InvalidRequest, Overloaded
from gateway.core.plan import Plan
from gateway.execution.enforcement.enforcer import BudgetEnforcer
from gateway.execution.place import Controllers, Place
from gateway.families.compiler import stand_in
from gateway.families.model_limits import ModelLimits

# Keys whose salt is remembered.
SALTS = 4096
Fallbacks = Mapping[str, tuple[Deployment, ...]]


class Sent(NamedTuple):
    """A reply with status 200, and the plan that was really used."""

    plan: Plan
    reply: Reply


class Dispatch:
    """`fallbacks` has the deployments that stand in for another one, in order; `fell_back` is told whom one did for.

    `salt` makes of a key's id what its prompts are cached under.
    """

    def __init__(
        self,
        transport: Transport,
        admission: Controllers,
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

    def place(self, call: Call) -> Place:
        """For the call, to be used in a `with`; it is nowhere yet."""
        return Place(self.admission, call)

    async def send(
        self, place: Place, call: Call, plan: Plan, terms: ModelLimits, replanned: Callable[[Plan], None]
    ) -> Sent:
        """To the plan's deployment, or to one that stands in.

        `replanned` is told of each plan that takes the place of another one before it is sent, and may raise.

        GatewayError: nobody can answer, or the client itself must mend something. A client that tries again by itself
        does get a fallback, though no other replica: its every try would meet the same dead deployment.
        """
        # Token ids and vectors mean something to their own model only.
        others = [] if call.passthrough else [*self._fallbacks[plan.deployment.name]]
        while others:
            try:
                if self._transport.in_break(plan.deployment.name, call):
                    raise BackendUnreachable(f"The backend {plan.deployment.name} keeps failing.")
                return Sent(plan, await self._ask(place, call, plan))
            except GatewayError as error:
                instead = self._stand_in(call, plan, others, terms, error) if _may_stand_in(error) else None
                if instead is None:
                    raise
                self._fell_back(plan.deployment.name)
                place.move_on()
                replanned(instead)
                plan = instead
        return Sent(plan, await self._ask(place, call, plan))

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

    async def post(self, place: Place, call: Call, plan: Plan) -> Reply:
        """To the plan's deployment, where the request has its place, and to no other."""
        spent_s = place.sending()
        return await self._enforcer.post(self._salted(plan, call), call, spent_s)

    def _salted(self, plan: Plan, call: Call) -> Plan:
        """With what keeps the prompts of a key's holder apart from others' in the engine's cache."""
        deployment = plan.deployment
        field = deployment.family.salt_field
        generates = call.passthrough is None or call.passthrough.holds == "choices"
        if call.key is None or field is None or not deployment.salted or not generates:
            return plan
        return replace(plan, body={**plan.body, field: self._salt(call.key)})

    async def _ask(self, place: Place, call: Call, plan: Plan) -> Reply:
        await place.enter(plan.deployment)
        return await self.post(place, call, plan)


def _may_stand_in(error: GatewayError) -> bool:
    return isinstance(error, Overloaded | SignInRefused) or failures.is_retryable(error)

"""From a plan to the reply of a deployment: admission, the request, and fallback deployments where it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from gateway.backends import failures
from gateway.backends.admission import AdmissionController
from gateway.backends.capabilities import Capabilities
from gateway.backends.reply import Reply
from gateway.backends.transport import Transport
from gateway.core.backend_errors import BackendRefused, BackendUnreachable, SignInRefused
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.errors import GatewayError, InvalidRequest, Overloaded
from gateway.core.plan import Plan
from gateway.execution.enforcement.enforcer import BudgetEnforcer
from gateway.execution.place import Controllers, Place
from gateway.execution.refused_limits import RefusedLimits
from gateway.families.compiler import fallback_plan, unraised_plan
from gateway.families.model_limits import ModelLimits

# How many keys' salts are cached.
SALTS = 4096
Fallbacks = Mapping[str, tuple[Deployment, ...]]


class Sent(NamedTuple):
    """A reply with status 200, and the plan that was really used."""

    plan: Plan
    reply: Reply


class Dispatch:
    """`fallbacks` lists each deployment's fallbacks in order; `fell_back` is called with the name of a deployment that
    a fallback replaced. `salt` derives the prefix cache salt of an API key from its id.
    """

    def __init__(
        self,
        transport: Transport,
        admission: Mapping[str, AdmissionController],
        fallbacks: Fallbacks,
        capabilities: Capabilities,
        fell_back: Callable[[str], None] = lambda _: None,
        salt: Callable[[str], str] = lambda _: "",
    ) -> None:
        self.admission = admission
        self._places: Controllers = admission
        self._transport = transport
        self._fallbacks = fallbacks
        self._enforce = capabilities.enforcement
        self._enforcer = BudgetEnforcer(transport, capabilities)
        self._fell_back = fell_back
        self._salt = lru_cache(SALTS)(salt)
        self._refused_limits = RefusedLimits()

    def within(self, places: Controllers) -> Dispatch:
        """The same with other places. Its fallbacks are not counted, as no client is concerned."""
        other = copy(self)
        other._places, other._fell_back = places, lambda _: None
        return other

    def place(self, call: Call) -> Place:
        """A place for the call, to be used in a `with`; it is at no deployment yet."""
        return Place(self._places, call)

    async def send(
        self, place: Place, call: Call, plan: Plan, terms: ModelLimits, replanned: Callable[[Plan], None]
    ) -> Sent:
        """Send the plan to its deployment, or to a fallback.

        `replanned` is called with each replacement plan before it is sent, and may raise.

        GatewayError: no deployment can answer, or the client must change its request. A client's own retries get a
        fallback, but no other replica: without a fallback, each of them would reach the same dead deployment.
        """
        # Token ids and embeddings are specific to their model.
        others = [] if call.passthrough else [*self._fallbacks[plan.deployment.name]]
        while others:
            try:
                if self._transport.all_circuits_open(plan.deployment.name, call):
                    raise BackendUnreachable(f"The backend {plan.deployment.name} keeps failing.")
                return await self._enter_and_post(place, call, plan, terms, replanned)
            except GatewayError as error:
                fallback = self._next_fallback(call, plan, others, terms, error) if _allows_fallback(error) else None
                if fallback is None:
                    raise
                self._fell_back(plan.deployment.name)
                place.move_on()
                replanned(fallback)
                plan = fallback
        return await self._enter_and_post(place, call, plan, terms, replanned)

    def _next_fallback(
        self, call: Call, plan: Plan, others: list[Deployment], terms: ModelLimits, why: GatewayError
    ) -> Plan | None:
        """The plan for the first of `others` that may get this call; it and those before it are removed."""
        while others:
            try:
                return fallback_plan(call, plan, others.pop(0), terms, why.code, self._enforce)
            except InvalidRequest:
                continue  # its clients may not send this, or it cannot enforce the key's limit
        return None

    def is_open(self, deployment: Deployment) -> bool:
        """Whether the deployment may get requests: not all of its circuits are open."""
        return not self._transport.all_circuits_open(deployment.name)

    async def post(self, place: Place, call: Call, plan: Plan) -> Reply:
        """Send the plan to its deployment, where the request already has its place, without fallbacks."""
        spent_s = place.sending()
        return await self._enforcer.post(self._salted(plan, call), call, spent_s)

    def _salted(self, plan: Plan, call: Call) -> Plan:
        """The plan with the salt that separates the key's prompts from those of others in the engine's prefix cache."""
        deployment = plan.deployment
        field = deployment.family.salt_field
        generates = call.passthrough is None or call.passthrough.holds == "choices"
        if call.key is None or field is None or not deployment.salted or not generates:
            return plan
        return replace(plan, body={**plan.body, field: self._salt(call.key)})

    async def _enter_and_post(
        self, place: Place, call: Call, plan: Plan, terms: ModelLimits, replanned: Callable[[Plan], None]
    ) -> Sent:
        """Once more within the client's own limit, where the deployment cannot generate what was added to it."""
        await place.enter(plan.deployment)
        if not self._refused_limits.is_refused(plan, call):
            try:
                return Sent(plan, await self.post(place, call, plan))
            except BackendRefused as error:
                if not self._refused_limits.note(error, plan, call):
                    raise
        plan = unraised_plan(call, plan, terms, self._enforce)
        replanned(plan)
        return Sent(plan, await self.post(place, call, plan))


def _allows_fallback(error: GatewayError) -> bool:
    return isinstance(error, Overloaded | SignInRefused) or failures.is_retryable(error)

"""Compiles an effort and an arm into the exact request body. Every deviation is noted, never silent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gateway.core import efforts
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, Effort
from gateway.core.forecast import Forecast
from gateway.core.plan import Enforcement, Plan
from gateway.families import answer_limits, ceiling, effort_encoding, history, system, validation
from gateway.families import body as fields
from gateway.families.effort_encoding import EncodedEffort
from gateway.families.guard import request as guards
from gateway.families.guard import thinking
from gateway.families.guard.switches import without_switches
from gateway.families.model_limits import ModelLimits

# Tokens that unlimited thinking counts as.
LONG_THOUGHT = 4096
# The value of `include` that requests the gateway's own report in the response body.
ACCOUNT = "thinkgate"
Enforce = Callable[[Deployment, Call], Enforcement]


def row_enforcement(deployment: Deployment, call: Call | None = None) -> Enforcement:
    """How a budget is enforced according to the deployment's family row alone."""
    return "native" if deployment.family.budget_field is not None else "none"


def compile_plan(
    call: Call,
    decided: Effort,
    arm: Arm,
    terms: ModelLimits,
    forecast: Forecast | None = None,
    enforce: Enforce = row_enforcement,
) -> Plan:
    """The request for one deployment of the arm. Changes only model, effort, limits, reasoning and usage reporting.

    `enforce` says how a deployment's budgets are enforced. InvalidRequest: the client requested an effort that the
    deployment does not support, and the model is strict about it.
    """
    thinks = arm.find(decided if decided.think else efforts.UNLIMITED)
    enforcement = "none" if thinks is None else enforce(thinks, call)
    validation.check(call, decided, arm, terms, enforcement)
    notes: list[str] = [call.note] if call.note else []
    effort = _bounded(decided, call, notes)
    if thinks is not None:
        limit = answer_limits.limit_of(call, effort, enforcement != "none", thinks, terms.answer)
        effort = answer_limits.fit(effort, limit, call.limit, terms.answer, notes)
    deployment = arm.find(effort)
    if deployment is None:
        effort = _nearest(effort, arm, notes)
        deployment = arm.deployment_for(effort)
    return _compile(call, effort, deployment, terms, tuple(notes), _work(call, effort, forecast), enforce)


def fallback_plan(
    call: Call,
    plan: Plan,
    deployment: Deployment,
    terms: ModelLimits,
    why: str | None,
    enforce: Enforce = row_enforcement,
) -> Plan:
    """The same request and effort, compiled for a fallback deployment; `why` is an error's code."""
    note = f"deployment {plan.deployment.name} could not answer ({why}): used the fallback {deployment.name}"
    return _compile(call, plan.effort, deployment, terms, (*plan.bounds, note), plan.tokens, enforce)


def unraised_plan(call: Call, plan: Plan, terms: ModelLimits, enforce: Enforce = row_enforcement) -> Plan:
    """The same for a deployment that cannot generate as much as the plan allows: thinking fits into the client's limit
    instead of adding to it.
    """
    notes = [*plan.bounds, f"deployment {plan.deployment.name} refuses a limit of {plan.limit} tokens"]
    effort = answer_limits.fit(plan.effort, call.limit, call.limit, terms.answer, notes)
    held = replace(call, limit_covers_thinking=True)
    return _compile(held, effort, plan.deployment, terms, tuple(notes), plan.tokens, enforce)


def _compile(
    call: Call,
    effort: Effort,
    deployment: Deployment,
    terms: ModelLimits,
    bounds: tuple[str, ...],
    tokens: float,
    enforce: Enforce,
) -> Plan:
    guards.check(call, deployment)
    notes = list(bounds)
    family = deployment.family
    body = dict(call.body)
    _drop_own(body)
    body["model"] = deployment.model
    word = call.effort_word if effort == call.requested else ""
    enforcement = enforce(deployment, call)
    encoded = effort_encoding.nearest(effort, word, family, terms.levels, enforcement, notes)
    limit = _limit(call, effort, encoded, deployment, terms)
    if answer_limits.starves(encoded.effort, limit) and family.off is not None:
        notes.append(f"no room to think: the minimum budget leaves none of {limit} tokens for the answer")
        encoded = effort_encoding.nearest(NO_THINKING, "", family, terms.levels, enforcement, notes)
    given = body["messages"]
    if call.guarded:
        encoded = ceiling.enforce(encoded, call, family, terms.levels, enforcement, notes)
        if not ceiling.within(encoded, call.key_ceiling):
            limit = call.limit  # which is what holds it to the ceiling
        if family.on is not None:
            thinks = encoded.effort is None or encoded.effort.think
            thinking.check(call, family, thinks)
            given = without_switches(call, family, notes)
    messages, thoughts = history.reasoning_history(given, family, notes)
    body["messages"] = system.where_allowed(messages, family, notes)
    effort_encoding.write(encoded, family, body)
    if thoughts:
        fields.merge(body, family.history_with, instead=False)
    if encoded.effort is not None and not encoded.effort.think:
        limit = call.limit
    answer_limits.write(body, encoded.effort, limit, terms.answer, family.limit_field)
    for name, value in terms.sampling.get(encoded.effort.think, {}).items() if encoded.effort is not None else ():
        if body.get(name) is None:
            body[name] = value
    if call.stream:
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    applied, level, enforced = encoded
    return Plan(deployment, applied, body, tuple(notes), tokens, effort, bounds, enforced, level, limit)


def _limit(
    call: Call, effort: Effort, encoded: EncodedEffort, deployment: Deployment, terms: ModelLimits
) -> int | None:
    """The limit on all tokens for the encoded effort; a level counts as the budget that it was chosen for."""
    if encoded.effort is None or answer_limits.covers_thinking(call, effort):
        return call.limit
    applied = encoded.effort
    if applied.think and applied.budget is None and effort.budget:
        applied = effort
    return answer_limits.limit_of(call, applied, encoded.enforcement != "none", deployment, terms.answer)


def _drop_own(body: dict[str, Any]) -> None:
    """Remove the gateway's own fields."""
    body.pop("thinkgate", None)
    included = body.get("include")
    if isinstance(included, list) and ACCOUNT in included:
        rest = [one for one in included if one != ACCOUNT]
        if rest:
            body["include"] = rest
        else:
            del body["include"]


def _work(call: Call, effort: Effort, forecast: Forecast | None) -> float:
    """Tokens of the prompt, and of reasoning and answer as forecast; without a forecast, the thinking budget."""
    for one in forecast.efforts if forecast is not None else ():
        if one.effort == effort:
            return call.prompt_tokens + one.thinking_tokens + one.answer_tokens
    return call.prompt_tokens + min(efforts.size(effort), LONG_THOUGHT)


def _bounded(decided: Effort, call: Call, notes: list[str]) -> Effort:
    """The effort bounded by the client's key; this holds for every policy."""
    if call.most is None or efforts.size(decided) <= efforts.size(call.most):
        return decided
    notes.append(f"{efforts.words(decided)} was decided, but the key allows no more than {efforts.words(call.most)}")
    return call.most


def _nearest(effort: Effort, arm: Arm, notes: list[str]) -> Effort:
    """The offered effort nearest to one that the arm has no deployment for."""
    nearest = min(arm.efforts, key=lambda offered: abs(efforts.size(offered) - min(efforts.size(effort), 1e9)))
    notes.append(f"arm {arm.name} does not offer {efforts.words(effort)}: applied {efforts.words(nearest)}")
    return nearest

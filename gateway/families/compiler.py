"""An effort and an arm in, the exact request body out. What cannot be said is put into words, never dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway import efforts
from gateway.families import limits
from gateway.families.rows import EFFORT_FIELDS
from gateway.types import UNLIMITED, Arm, Call, Deployment, Effort, Family, Forecast, JsonObject, Plan

# What an unlimited thought counts as, in tokens.
LONG_THOUGHT = 4096


def compile_plan(
    call: Call, decided: Effort, arm: Arm, answer: limits.AnswerLimits, forecast: Forecast | None = None
) -> Plan:
    """The request for one deployment of the arm. Changes only model, effort, limits and usage reporting."""
    notes: list[str] = [call.note] if call.note else []
    effort = limits.fit(_bounded(decided, call, notes), call.limit, answer, notes)
    deployment = arm.deployment_for(effort)
    if deployment is None:
        effort = _nearest(effort, arm, notes)
        deployment = arm.deployment_for(effort)
        assert deployment is not None, "an arm offers only efforts it has a deployment for"
    return _compile(call, effort, deployment, answer, tuple(notes), _work(call, effort, forecast))


def stand_in(call: Call, plan: Plan, deployment: Deployment, answer: limits.AnswerLimits, why: str | None) -> Plan:
    """The same request with the same effort for another deployment, in its family's words; `why` is an error's code."""
    note = f"deployment {plan.deployment.name} could not answer ({why}): {deployment.name} stood in"
    return _compile(call, plan.effort, deployment, answer, (*plan.bounds, note), plan.tokens)


def _compile(
    call: Call,
    effort: Effort,
    deployment: Deployment,
    answer: limits.AnswerLimits,
    bounds: tuple[str, ...],
    tokens: float,
) -> Plan:
    notes = list(bounds)
    body = dict(call.body)
    body.pop("thinkgate", None)
    body["model"] = deployment.model
    applied = _tell(effort, deployment.family, body, notes)
    limits.write(body, applied, call.limit, answer)
    if call.stream:
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    return Plan(deployment, applied, body, tuple(notes), tokens, effort, bounds)


def _work(call: Call, effort: Effort, forecast: Forecast | None) -> float:
    """Tokens of the prompt, and of thought and answer as forecast; without a forecast at most of the thought."""
    for one in forecast.efforts if forecast is not None else ():
        if one.effort == effort:
            return call.prompt_tokens + one.thinking_tokens + one.answer_tokens
    return call.prompt_tokens + min(efforts.size(effort), LONG_THOUGHT)


def _bounded(decided: Effort, call: Call, notes: list[str]) -> Effort:
    """What the client's key allows of it: also a policy that asks nobody does not exceed that."""
    if call.most is None or efforts.size(decided) <= efforts.size(call.most):
        return decided
    notes.append(f"the key allows no more than {efforts.words(call.most)}: {efforts.words(decided)} was decided")
    return call.most


def _nearest(effort: Effort, arm: Arm, notes: list[str]) -> Effort:
    """The offered effort nearest to one that the arm has no deployment for."""
    nearest = min(arm.efforts, key=lambda offered: abs(efforts.size(offered) - min(efforts.size(effort), 1e9)))
    notes.append(f"arm {arm.name} does not offer {efforts.words(effort)}: applied {efforts.words(nearest)}")
    return nearest


def _tell(effort: Effort, family: Family, body: dict[str, Any], notes: list[str]) -> Effort | None:
    """Write the effort into the body in the family's words; returns what the family could really be told."""
    if family.passes_through:
        if body.get("reasoning_effort") == "auto":
            del body["reasoning_effort"]
        notes.append(f"family {family.name} cannot be told an effort: the client's own fields were passed on")
        return None
    for name in EFFORT_FIELDS:
        _drop(body, name)
    if not effort.think and family.off is None:
        notes.append(f"family {family.name} cannot turn thinking off")
        effort = UNLIMITED
    _merge(body, (family.on if effort.think else family.off) or {})
    if effort.budget is None or not effort.think:
        return effort
    if family.budget_field is None:
        notes.append(f"family {family.name} takes no budget: thinking is unlimited")
        return UNLIMITED
    body[family.budget_field] = effort.budget
    return effort


def _drop(body: dict[str, Any], name: str) -> None:
    """Remove a field; one inside another object goes with its parent when that is left empty."""
    outer, _, inner = name.partition(".")
    if not inner:
        body.pop(outer, None)
        return
    parent = body.get(outer)
    if isinstance(parent, Mapping) and inner in parent:
        rest = {key: value for key, value in parent.items() if key != inner}
        if rest:
            body[outer] = rest
        else:
            del body[outer]


def _merge(body: dict[str, Any], fields: JsonObject) -> None:
    """Add fields to the body, one object deep, keeping the client's other keys in it."""
    for key, value in fields.items():
        old = body.get(key)
        body[key] = {**old, **value} if isinstance(old, Mapping) and isinstance(value, Mapping) else value

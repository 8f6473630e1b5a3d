"""Refuses requested efforts that no family of the arm supports, listing those that are supported."""

from __future__ import annotations

from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.efforts import NO_THINKING, Effort
from gateway.core.errors import InvalidRequest
from gateway.core.plan import Enforcement
from gateway.families import effort_encoding
from gateway.families.model_limits import ModelLimits


def check(call: Call, decided: Effort, arm: Arm, terms: ModelLimits, enforcement: Enforcement) -> None:
    """InvalidRequest: the client requested this effort, it is not supported, and the model is strict.

    `enforcement` is how the thinking deployment's budgets are enforced.
    """
    if terms.strict is False or decided != call.requested:
        return
    if not decided.think:
        none = arm.find(decided)
        if none is None or (none.family.off is None and not none.family.passes_through):
            raise _refused(call, arm, terms, enforcement, "cannot turn thinking off")
    elif terms.strict is True:
        why = _illegal(call, decided, arm, terms, enforcement)
        if why is not None:
            raise _refused(call, arm, terms, enforcement, why)


def _illegal(call: Call, decided: Effort, arm: Arm, terms: ModelLimits, enforcement: Enforcement) -> str | None:
    """Why the thinking deployment does not support the effort; None if it does."""
    deployment = arm.find(decided)
    if deployment is None:
        return "cannot think"
    family = deployment.family
    if family.passes_through:
        return None
    if family.levels and call.effort_word in terms.levels:
        return None if call.effort_word in family.levels else f"has no level {call.effort_word!r}"
    if decided.budget is None or enforcement in ("two-phase", "cut"):
        return None
    if family.budget_field is None:
        return "takes no budget"
    legal = effort_encoding.legal_budget(decided.budget, family)
    return None if legal == decided.budget else f"takes no budget of {decided.budget} tokens (the nearest is {legal})"


def _refused(call: Call, arm: Arm, terms: ModelLimits, enforcement: Enforcement, why: str) -> InvalidRequest:
    words = legal(arm, terms, enforcement)
    return InvalidRequest(
        f"The model {call.model!r} {why}. It takes: {', '.join(words)}.",
        param=call.effort_param,
        code="unsupported_value",
    )


def legal(arm: Arm, terms: ModelLimits, enforcement: Enforcement) -> list[str]:
    """The efforts that clients may request at an arm, weakest first."""
    direct, thinking = arm.find(NO_THINKING), [one.family for one in arm.thinking]
    none = effort_encoding.legal_words(direct.family, terms.levels, "none") if direct is not None else []
    think = [word for family in thinking for word in effort_encoding.legal_words(family, terms.levels, enforcement)]
    words = dict.fromkeys([word for word in none if word == "none"] + [word for word in think if word != "none"])
    takes_budget = any(family.budget_field is not None or enforcement in ("two-phase", "cut") for family in thinking)
    return [*words, "auto", "or a budget in tokens"] if takes_budget else [*words, "auto"]

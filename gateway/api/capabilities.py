"""What a visitor may ask of a model's effort, in the words of three vendors.

Nothing is claimed but what is kept: an effort counts as supported where the policy chooses it for who names it, every
arm can be told it as it is, and the visitor's key allows it. What is passed through unseen is not known to be kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from gateway.core import efforts
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.efforts import UNLIMITED, Effort
from gateway.core.errors import InvalidRequest
from gateway.core.plan import Enforcement
from gateway.families import validation
from gateway.families.compiler import Enforce
from gateway.routing.catalogue import PublicModel

Json = dict[str, Any]
# Those that Anthropic's clients know; weakest first.
_ANTHROPICS = ("low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True)
class ModelCapabilities:
    """`levels` are those that are kept, weakest first; `budgets`: whether a number of tokens is; `default` is the level
    without one, None where that differs from request to request; `thinks` whether it may think then.
    """

    levels: tuple[str, ...]
    budgets: bool
    default: str | None
    thinks: bool

    @property
    def optional(self) -> bool:
        """Whether thinking can be turned off."""
        return "none" in self.levels

    @property
    def thinking(self) -> bool:
        """Whether it can be had at all."""
        return self.thinks or self.budgets or any(level != "none" for level in self.levels)


def of(model: PublicModel, ceiling: Effort | None, enforce: Enforce) -> ModelCapabilities:
    """`ceiling` is the most that the visitor may name, if there is a most."""

    def keeps(word: str, effort: Effort) -> bool:
        return (ceiling is None or efforts.size(effort) <= efforts.size(ceiling)) and _kept(
            model, word, effort, enforce
        )

    ranked = sorted(model.levels, key=lambda level: efforts.size(model.levels[level]))
    decision = model.policy.decide(Call("", "chat", model.name, {}, ceiling=ceiling), None)
    default = model.level_of(decision.effort) if decision.reason == "policy" else None
    offered = [decision.effort] if default else [effort for arm in model.arms for effort in arm.efforts]
    return ModelCapabilities(
        levels=tuple(level for level in ranked if keeps(level, model.levels[level])),
        budgets=_takes_budgets(model, ceiling, enforce),
        default=default,
        thinks=any(effort.think for effort in offered),
    )


def openrouters(found: ModelCapabilities) -> Json:
    """In OpenRouter's form."""
    return {
        "mandatory": found.thinking and not found.optional,
        "default_effort": found.default,
        "default_enabled": found.thinks,
        "supported_efforts": list(found.levels),
        "supports_max_tokens": found.budgets,
    }


def anthropics(found: ModelCapabilities) -> Json:
    """In Anthropic's form, with every capability that its clients know of.

    Between tools a model is as quiet as with thinking disabled. Pictures are for the backend to judge: they are passed
    on, which is no promise.
    """
    levels = {level: _support(level in found.levels) for level in _ANTHROPICS}
    types = {
        "adaptive": found.thinking,
        "between_tools": found.optional,
        "disabled": found.optional,
        "enabled": found.budgets,
    }
    no = _support(False)
    return {
        "batch": no,
        "citations": no,
        "code_execution": no,
        "context_management": no,
        "effort": {"supported": any(level in found.levels for level in _ANTHROPICS), **levels},
        "image_input": no,
        "pdf_input": no,
        "server_tools": {"supported": False, "code_execution": no, "web_search": no},
        "structured_outputs": _support(True),
        "thinking": {
            "supported": found.thinking,
            "types": {name: _support(supported) for name, supported in types.items()},
        },
    }


def _support(supported: bool) -> Json:
    return {"supported": supported}


def _kept(model: PublicModel, word: str, effort: Effort, enforce: Enforce) -> bool:
    call = Call("", "chat", model.name, {}, requested=effort, effort_word=word)
    decision = model.policy.decide(call, None)
    if decision.reason != "client" or any(one.family.passes_through for one in _deployments(model.arms)):
        return False
    terms = replace(model.terms, strict=True)
    try:
        for arm in model.arms:
            deployment = arm.find(effort)
            by = "none" if deployment is None else enforce(deployment, call)
            validation.check(call, effort, arm, terms, by)
    except InvalidRequest:
        return False
    return True


def _takes_budgets(model: PublicModel, ceiling: Effort | None, enforce: Enforce) -> bool:
    """Whether a number of tokens that is within all bounds is enforced, rounded to what is legal at most."""
    call = Call("", "chat", model.name, {}, requested=UNLIMITED, ceiling=ceiling)
    most = model.policy.decide(call, None).effort
    if not most.think or model.policy.decide(replace(call, requested=most), None).reason != "client":
        return False
    return all(arm.thinking for arm in model.arms) and all(
        _keeps_budgets(one, enforce(one, call)) for arm in model.arms for one in arm.thinking
    )


def _keeps_budgets(deployment: Deployment, by: Enforcement) -> bool:
    family = deployment.family
    return not family.passes_through and (family.budget_field is not None or by in ("two-phase", "cut"))


def _deployments(arms: Iterable[Arm]) -> list[Deployment]:
    return [one for arm in arms for one in arm.deployments]

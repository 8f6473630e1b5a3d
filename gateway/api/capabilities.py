"""The efforts of a model that a client may request, in the formats of OpenRouter and Anthropic.

Only what is honoured exactly is reported: an effort is supported if the policy uses it when a client names it, every
arm can express it unchanged, and the client's key allows it. Families that pass fields through support nothing: the
gateway cannot know what the backend does with them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gateway.core import efforts
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.efforts import UNLIMITED, Effort
from gateway.core.errors import InvalidRequest
from gateway.core.plan import Enforcement
from gateway.families import validation
from gateway.families.compiler import Enforce
from gateway.routing.catalogue import PublicModel

Json = dict[str, Any]
# The levels that Anthropic's clients know, weakest first.
_ANTHROPIC_LEVELS = ("low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True)
class ModelCapabilities:
    """`levels` are the supported levels, weakest first; `budgets`: token budgets are supported; `default` is the level
    used if the client names none (None: it varies by request); `thinks`: that default may think.
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
        """Whether the client can get thinking at all."""
        return self.thinks or self.budgets or any(level != "none" for level in self.levels)


def of(model: PublicModel, ceiling: Effort | None, enforce: Enforce) -> ModelCapabilities:
    """`ceiling` is the highest effort that the client's key may request; None: any."""

    def allowed(effort: Effort) -> bool:
        return ceiling is None or efforts.size(effort) <= efforts.size(ceiling)

    ranked = sorted(model.levels, key=lambda level: efforts.size(model.levels[level]))
    decision = model.policy.decide(Call("", "chat", model.name, {}, ceiling=ceiling), None)
    default = model.level_of(decision.effort) if decision.reason == "policy" else None
    offered = [decision.effort] if default else [effort for arm in model.arms for effort in arm.efforts]
    return ModelCapabilities(
        levels=tuple(
            level
            for level in ranked
            if allowed(model.levels[level]) and _supports(model, level, model.levels[level], enforce)
        ),
        budgets=_supports_budgets(model, ceiling, enforce),
        default=default,
        thinks=any(effort.think for effort in offered),
    )


def openrouter_format(found: ModelCapabilities) -> Json:
    """The `reasoning` object in OpenRouter's format."""
    return {
        "mandatory": found.thinking and not found.optional,
        "default_effort": found.default,
        "default_enabled": found.thinks,
        "supported_efforts": list(found.levels),
        "supports_max_tokens": found.budgets,
    }


def anthropic_format(found: ModelCapabilities) -> Json:
    """The `capabilities` object in Anthropic's format, with every capability that its clients know.

    `between_tools` is served like disabled thinking. Images are forwarded, but support depends on the backend, so none
    is claimed.
    """
    levels = {level: _support(level in found.levels) for level in _ANTHROPIC_LEVELS}
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
        "effort": {"supported": any(level in found.levels for level in _ANTHROPIC_LEVELS), **levels},
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


def _supports(model: PublicModel, level: str, effort: Effort, enforce: Enforce) -> bool:
    """Whether a client that names this level gets exactly its effort."""
    call = Call("", "chat", model.name, {}, requested=effort, effort_word=level)
    decision = model.policy.decide(call, None)
    passes_through = any(one.family.passes_through for arm in model.arms for one in arm.deployments)
    if decision.reason != "client" or passes_through:
        return False
    terms = replace(model.terms, strict=True)
    try:
        for arm in model.arms:
            deployment = arm.find(effort)
            enforcement = "none" if deployment is None else enforce(deployment, call)
            validation.check(call, effort, arm, terms, enforcement)
    except InvalidRequest:
        return False
    return True


def _supports_budgets(model: PublicModel, ceiling: Effort | None, enforce: Enforce) -> bool:
    """Whether a token budget within all bounds is enforced, at most rounded to a value that the family accepts."""
    call = Call("", "chat", model.name, {}, requested=UNLIMITED, ceiling=ceiling)
    most = model.policy.decide(call, None).effort
    if not most.think or model.policy.decide(replace(call, requested=most), None).reason != "client":
        return False
    return all(arm.thinking for arm in model.arms) and all(
        _enforces_budgets(one, enforce(one, call)) for arm in model.arms for one in arm.thinking
    )


def _enforces_budgets(deployment: Deployment, enforcement: Enforcement) -> bool:
    family = deployment.family
    return not family.passes_through and (family.budget_field is not None or enforcement in ("two-phase", "cut"))

"""What was observed at one replica, and what follows from it. None means unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gateway.backends.capabilities import Capability, Marks
from gateway.core.deployment import Deployment
from gateway.core.plan import Enforcement

# Weakest first: a deployment can do what its weakest replica can.
_ORDER: tuple[Enforcement, ...] = ("none", "cut", "two-phase", "native")


@dataclass(frozen=True, slots=True)
class Facts:
    """`served`: it lists the model. `thinks_*`: whether it thought with thinking on, with thinking off, and by default.

    `refused` is the status with which it refuses a plain request; `refuses_on`: it refuses only requests that turn
    thinking on. `budget` is how it treated one. `field` holds its reasoning, `""` if that is not separated from
    answers; `reports`: it counts thinking tokens. `streamed_*`: the same for streams. `marks` are set if it reports
    token ids in streams; they are not requested where it enforces budgets.
    """

    served: bool = True
    refused: int | None = None
    refuses_on: bool = False
    max_context: int | None = None
    thinks_on: bool | None = None
    thinks_off: bool | None = None
    thinks_default: bool | None = None
    budget: Literal["kept", "ignored", "refused"] | None = None
    field: str | None = None
    streamed_field: str | None = None
    reports: bool | None = None
    streamed_reports: bool | None = None
    marks: Marks | None = None


class Disagreement(NamedTuple):
    """`what` is a member of WHATS, `sentence` a description."""

    what: str
    sentence: str


# All respects in which a deployment can contradict its row.
WHATS = ("model", "chat", "context", "on", "off", "default", "field", "usage", "budget")


def disagreements(facts: Facts, deployment: Deployment) -> Iterator[Disagreement]:
    """Where the facts contradict the family's row or the deployment's settings."""
    family = deployment.family
    if not facts.served:
        yield Disagreement("model", f"it does not serve the model {deployment.model!r}")
        return
    if facts.refused is not None:
        yield Disagreement("chat", f"it refuses a plain request with status {facts.refused}: is its URL right?")
        return
    longest, most = facts.max_context, deployment.max_context
    if longest is not None and most is not None and longest < most:
        yield Disagreement("context", f"its context is {longest} tokens, not {most}")
    if facts.refuses_on:
        yield Disagreement("on", "it refuses requests that turn thinking on")
    if family.hybrid and family.on is not None and facts.thinks_on is False:
        yield Disagreement("on", "it does not think when thinking is turned on")
    if family.hybrid and family.off is not None and facts.thinks_off:
        yield Disagreement("off", "it thinks although thinking is turned off")
    default = {"on": True, "off": False}.get(family.default)
    if family.hybrid and None not in (facts.thinks_default, default) and facts.thinks_default != default:
        does = "thinks" if facts.thinks_default else "does not think"
        yield Disagreement("default", f"it {does} by default")
    for field in dict.fromkeys((facts.field, facts.streamed_field)):
        if field == "":
            yield Disagreement("field", "its reasoning is not separated from its answers: it has no reasoning parser")
        elif field is not None and family.answer_field and field != family.answer_field:
            yield Disagreement("field", f"its reasoning is in {field!r}, not in {family.answer_field!r}")
    if family.usage_field and False in (facts.reports, facts.streamed_reports):
        where = " in streams" if facts.reports else ""
        yield Disagreement("usage", f"it does not report thinking tokens{where}: they are counted here")
    if facts.budget in ("ignored", "refused"):
        what = "ignores" if facts.budget == "ignored" else "refuses"
        yield Disagreement("budget", f"it {what} budgets in {family.budget_field!r}: {_instead(facts, deployment)}")


def _instead(facts: Facts, deployment: Deployment) -> str:
    return {
        "two-phase": "the gateway enforces them itself, in two phases",
        "cut": "the gateway truncates answers whose reasoning exceeds them",
        "none": "they are not enforced",
        "native": "they are sent nevertheless",
    }[capability_of(facts, deployment).enforcement]


def capability_of(facts: Facts, deployment: Deployment) -> Capability:
    """How a budget can be enforced at this replica."""
    family = deployment.family
    if family.budget_field is not None and facts.budget in ("kept", None):
        return Capability("native")
    if not facts.streamed_field:
        return Capability("none")
    if facts.marks is not None:
        return Capability("two-phase", facts.marks)
    return Capability("none" if family.budget_field is None else "cut")


def weakest(capabilities: list[Capability]) -> Capability:
    return min(capabilities, key=lambda one: _ORDER.index(one.enforcement))

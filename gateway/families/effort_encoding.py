"""Encodes an effort in a family's fields: as it is where it is supported, else as the nearest supported value.

The same rules hold for all families. No thinking uses the off switch; without one, the weakest effort. A level uses its
own name if the family has it, else the nearest by its row. A budget is sent where the family or its engine takes one,
within its bounds; elsewhere the gateway enforces it, or thinking is unlimited. Each deviation adds a note.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.core import efforts
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort
from gateway.core.family import Family
from gateway.core.plan import Enforcement
from gateway.families import body as fields
from gateway.families.fields import EFFORT_FIELDS, HIDE_FIELD

_OWN = tuple((name, name.partition(".")[0]) for name in EFFORT_FIELDS)
_OUTER = frozenset(outer for _, outer in _OWN)


class EncodedEffort(NamedTuple):
    """An effort in a family's terms: the effort, and its level where it has levels. `effort` None: nothing is sent."""

    effort: Effort | None
    level: str | None = None
    enforcement: Enforcement = "none"


def nearest(
    effort: Effort, word: str, family: Family, levels: Mapping[str, Effort], enforcement: Enforcement, notes: list[str]
) -> EncodedEffort:
    """The supported effort nearest to the decided one. `word` is its level's name, as the client gave it.

    `enforcement` is how the deployment's budgets are enforced. `notes` gets a line for each difference.
    """
    if family.passes_through:
        notes.append(f"family {family.name} has no effort control: the client's own fields were passed on")
        return EncodedEffort(None)
    if not effort.think:
        return _off(family, enforcement, notes)
    if family.on is None:
        notes.append(f"family {family.name} cannot think")
        return EncodedEffort(NO_THINKING)
    level = None
    if family.levels:
        level = legal_level(word if word in levels else efforts.level_of(effort, levels), family)
        if level == "none" and word not in levels and enforcement != "none":
            level = next(iter(family.levels))
        if level == "none":
            lacks = f"has no level {word}" if word in levels else "takes levels, no budget"
            notes.append(f"family {family.name} {lacks}: applied none")
            return EncodedEffort(NO_THINKING, "none")
        if word in levels and level != word:
            notes.append(f"family {family.name} has no level {word}: applied {level}")
    return _budgeted(effort, level, word in levels, family, enforcement, notes)


def legal_level(name: str, family: Family) -> str:
    """The family's name for a level."""
    if name in family.levels:
        return name
    return family.nearest.get(name) or list(family.levels)[-1]


def _off(family: Family, enforcement: Enforcement, notes: list[str]) -> EncodedEffort:
    if family.off is not None:
        return EncodedEffort(NO_THINKING)
    level = next(iter(family.levels), None)
    either = level is not None and family.budget_instead
    native = family.budget_field is not None and enforcement == "native" and not either
    budget = legal_budget(0, family) if native else None
    effort = Effort(True, budget)
    notes.append(f"family {family.name} cannot turn thinking off: applied {level or efforts.words(effort)}")
    return EncodedEffort(effort, level, "none" if budget is None else "native")


def _budgeted(
    effort: Effort, level: str | None, named: bool, family: Family, enforcement: Enforcement, notes: list[str]
) -> EncodedEffort:
    """Add a budget if one can be sent or enforced. `named`: a level was requested, not a number."""
    if effort.budget is None:
        return EncodedEffort(UNLIMITED, level)
    if family.budget_field is not None and enforcement == "native" and not (named and family.budget_instead):
        budget = legal_budget(effort.budget, family)
        if budget != effort.budget:
            notes.append(f"family {family.name} takes no budget of {effort.budget}: applied {budget}")
        return EncodedEffort(Effort(True, budget), None if family.budget_instead else level, "native")
    if enforcement in ("two-phase", "cut"):
        return EncodedEffort(effort, level, enforcement)
    if level is None:
        notes.append(f"family {family.name} takes no budget: thinking is unlimited")
    elif not named:
        notes.append(f"family {family.name} takes levels, no budget: applied {level}")
    return EncodedEffort(UNLIMITED, level)


def legal_budget(budget: int, family: Family) -> int:
    """The largest valid budget not above this one; else the family's minimum."""
    most = budget if family.budget_most is None else min(budget, family.budget_most)
    return max(most - most % family.budget_step, family.budget_least)


def write(encoded: EncodedEffort, family: Family, body: dict[str, Any]) -> None:
    """Write it into the body, replacing the client's own fields."""
    if encoded.effort is None:
        if body.get("reasoning_effort") == "auto":
            del body["reasoning_effort"]
        return
    if family.host.hide_field is not None and "reasoning" in body and fields.get(body, HIDE_FIELD) is True:
        fields.put(body, family.host.hide_field, False)
    for name, outer in () if _OUTER.isdisjoint(body) else _OWN:
        if outer in body:
            fields.drop(body, name)
    fields.merge(body, (family.on if encoded.effort.think else family.off) or {})
    if encoded.level is not None and family.level_field is not None and encoded.level in family.levels:
        fields.put(body, family.level_field, family.levels[encoded.level])
    if encoded.enforcement == "native" and family.budget_field is not None and encoded.effort.budget is not None:
        fields.put(body, family.budget_field, encoded.effort.budget)
        fields.merge(body, family.budget_with)


def legal_words(family: Family, levels: Mapping[str, Effort], enforcement: Enforcement) -> list[str]:
    """The efforts that clients may name for this family, weakest first; empty: anything, as nothing is known."""
    if family.passes_through:
        return []
    off = ["none"] if family.off is not None else []
    if family.on is None:
        return off
    if family.levels:
        return off + [name for name in family.levels if name in levels]
    if family.budget_field is not None or enforcement in ("two-phase", "cut"):
        named = sorted((name for name in levels if levels[name].think), key=lambda name: efforts.size(levels[name]))
        return off + named
    return [*off, "max"]

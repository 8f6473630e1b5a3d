"""Conversations keep their place: reading a prompt again has a price, and a tool loop keeps its effort."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from gateway.core.decision import Decision
from gateway.core.efforts import Effort
from gateway.core.prices import Prices
from gateway.core.record import Record
from gateway.routing.prices.protocol import PriceContext, PriceSetter, PriceSettings, Recalled, Surroundings
from gateway.routing.prices.tool_results import has_failed, latest_results

# Conversations that are remembered at once: the one that has been quiet longest goes first.
MOST_CONVERSATIONS = 16_384


class StickySettings(PriceSettings):
    """For agents and long conversations."""

    kind: Literal["sticky"]
    price_of_rereading: Annotated[float, Field(ge=0)] = 1e-5
    """What it costs if another deployment has to read a token of the prompt again, in units of P(correct)."""
    hold: bool = True
    """Whether the effort is decided once for each turn of the user, and kept while tools answer; not after an answer
    that failed or was cut at its limit, nor after a tool that failed."""
    forget_after_s: Annotated[float, Field(gt=0)] = 3600.0
    """How long a conversation is remembered after its last request: about as long as its prompt stays in a cache."""

    def setter(self, surroundings: Surroundings) -> PriceSetter:
        return Sticky(self, surroundings)


class Memory(NamedTuple):
    """The last request of a conversation: its effort (None: to be decided anew), where it went, its prompt's tokens."""

    effort: Effort | None
    deployment: str
    tokens: int
    at: float


@dataclass(frozen=True, slots=True)
class Sticky:
    settings: StickySettings
    surroundings: Surroundings
    _memories: OrderedDict[str, Memory] = field(default_factory=OrderedDict)

    @property
    def name(self) -> str:
        return self.settings.called

    def price(self, context: PriceContext) -> Prices:
        return Prices.of(self.name, reread=self.settings.price_of_rereading)

    def recall(self, context: PriceContext) -> Recalled | None:
        memory = self._memories.get(context.unit)
        if memory is None:
            return None
        if self.surroundings.clock() - memory.at > self.settings.forget_after_s:
            del self._memories[context.unit]
            return None
        results = latest_results(context.call)
        holds = self.settings.hold and bool(results) and not any(map(has_failed, results))
        return Recalled(memory.effort if holds else None, memory.deployment, memory.tokens)

    def decided(self, context: PriceContext, decision: Decision) -> None:
        deployment = context.arm.find(decision.effort)
        if deployment is None or decision.probe_options is not None:
            return
        self._memories.pop(context.unit, None)
        if len(self._memories) >= MOST_CONVERSATIONS:
            self._memories.popitem(last=False)
        call, now = context.call, self.surroundings.clock()
        self._memories[context.unit] = Memory(decision.effort, deployment.name, call.prompt_tokens, now)

    def observe(self, record: Record) -> None:
        memory = self._memories.get(record.unit or "")
        if memory is not None and (record.status != 200 or record.finish_reason == "length"):
            self._memories[record.unit or ""] = memory._replace(effort=None)

    def describe(self) -> str:
        price = f"{self.settings.price_of_rereading:g} of P(correct)"
        held = "; the effort is kept while tools answer" if self.settings.hold else ""
        return f"a prompt token that another deployment reads again costs {price}{held}."

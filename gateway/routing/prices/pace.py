"""A budget for each hour or day: the price of a token rises until the spending fits."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gateway.core.decision import Decision
from gateway.core.efforts import size, words
from gateway.core.errors import ConfigError
from gateway.core.forecast import EffortForecast
from gateway.core.prices import Prices
from gateway.core.record import Record
from gateway.routing.prices.protocol import PriceContext, PriceSetter, PriceSettings, Recalled, Surroundings
from gateway.routing.prices.spending import FIRST, Expected, Spending

SECONDS = {"hour": 3600.0, "day": 86_400.0}
# The position of the router's dial whose price is the first guess.
USUAL_DIAL = 0.5
# Keys whose spending is remembered at once: the one that has been idle longest goes first.
MOST_KEYS = 4096


class PaceSettings(PriceSettings):
    """What may be spent. Windows are those of the clock (UTC). Set `thinking_tokens` or `dollars`."""

    kind: Literal["pace"]
    thinking_tokens: Annotated[float, Field(ge=1)] | None = None
    dollars: Annotated[float, Field(gt=0)] | None = None
    """By the prices of the deployments."""
    every: Literal["hour", "day"] = "hour"
    of: Literal["model", "key"] = "model"
    """Whose budget it is: the model's, or each API key's own for this model."""

    @model_validator(mode="after")
    def _one_target(self) -> PaceSettings:
        if (self.thinking_tokens is None) == (self.dollars is None):
            raise ValueError("set either `thinking_tokens` or `dollars`")
        return self

    @property
    def target(self) -> float:
        return self.thinking_tokens or self.dollars or 0.0

    @property
    def what(self) -> str:
        """The target in words."""
        amount = (
            f"{self.dollars:g} dollars" if self.dollars is not None else f"{self.thinking_tokens:g} thinking tokens"
        )
        return f"{amount} per {self.every}"

    def setter(self, surroundings: Surroundings) -> PriceSetter:
        weakest = surroundings.weakest
        if self.thinking_tokens is not None and weakest.think and size(weakest) > self.thinking_tokens:
            least = f"a single request may use at the floor ({words(weakest)})"
            raise ConfigError(
                [f"thinking_tokens: {self.thinking_tokens:g} are fewer than {least}: no price keeps to that"]
            )
        if self.dollars is not None and not surroundings.has_dollars:
            raise ConfigError(["dollars: no deployment of this model has a price: set output_price there"])
        if self.dollars is not None and surroundings.floor_dollars > self.dollars:
            least = f"thinking at the floor ({words(weakest)}) may cost in a single request"
            raise ConfigError([f"dollars: {self.dollars:g} are fewer than {least}: no price keeps to that"])
        return Pace(self, surroundings)

    def share(self, workers: int) -> PaceSettings:
        return self.model_copy(
            update={
                "thinking_tokens": self.thinking_tokens and self.thinking_tokens / workers,
                "dollars": self.dollars and self.dollars / workers,
            }
        )


@dataclass(frozen=True, slots=True)
class Pace:
    settings: PaceSettings
    surroundings: Surroundings
    _spending: OrderedDict[str | None, Spending] = field(default_factory=OrderedDict)

    @property
    def name(self) -> str:
        return self.settings.called

    def price(self, context: PriceContext) -> Prices:
        return Prices.of(self.name, self.spending(context.call.key).price(self.surroundings.clock()))

    def recall(self, context: PriceContext) -> Recalled | None:
        return None

    def decided(self, context: PriceContext, decision: Decision) -> None:
        forecast, now = decision.forecast, self.surroundings.clock()
        usual = forecast.price_at(USUAL_DIAL, "auto") if forecast is not None else 0.0
        expected = self._expected(context, decision)
        self.spending(context.call.key).decided(context.id, expected, now, usual or FIRST)

    def observe(self, record: Record) -> None:
        spent = record.cost if self.settings.dollars is not None else record.used or record.reasoning_tokens
        self.spending(record.key).settled(record.id, spent or 0.0, self.surroundings.clock())

    def spending(self, key: str | None) -> Spending:
        """Of the model, or of a key."""
        key = key if self.settings.of == "key" else None
        spending = self._spending.pop(key, None)
        if spending is None:
            spending = Spending(self.settings.target, SECONDS[self.settings.every], self.surroundings.clock())
            if len(self._spending) >= MOST_KEYS:
                self._spending.popitem(last=False)
        self._spending[key] = spending
        return spending

    def describe(self) -> str:
        whose = "for each API key" if self.settings.of == "key" else "for the model"
        return f"{self.settings.what} {whose}, as a price in P(correct) per token."

    def _expected(self, context: PriceContext, decision: Decision) -> Expected:
        """What a request will spend under a decision; nothing is known without a forecast, but the budget."""
        effort, forecast = decision.effort, decision.forecast
        for one in forecast.efforts if forecast is not None else ():
            if one.effort == effort:
                return self._of(context, one)
        if self.settings.dollars is not None or not effort.think:
            return Expected(0.0, 0.0)
        return Expected(0.0, size(effort))

    def _of(self, context: PriceContext, one: EffortForecast) -> Expected:
        if self.settings.dollars is None:
            return Expected(one.thinking_tokens, size(one.effort))
        deployment = context.arm.find(one.effort)
        prompt = context.call.prompt_tokens
        dollars = 0.0 if deployment is None else deployment.pricing.cost(prompt, round(one.tokens))
        return Expected(dollars, float("inf"))

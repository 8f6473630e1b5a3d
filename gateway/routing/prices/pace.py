"""A budget for each hour or day: the price of a token rises until the spending fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from gateway.core.decision import Decision
from gateway.core.efforts import size, words
from gateway.core.errors import ConfigError
from gateway.core.forecast import EffortForecast
from gateway.core.prices import Prices
from gateway.core.record import Record
from gateway.core.serving_limits import PER_MILLION
from gateway.routing.prices.protocol import PriceContext, PriceSetter, PriceSettings, Recalled, Surroundings
from gateway.routing.prices.spending import FIRST, Spending
from gateway.routing.prices.spending_book import Expected

SECONDS = {"hour": 3600.0, "day": 86_400.0}
# The position of the router's dial whose price is the first guess.
USUAL_DIAL = 0.5


class Whose(NamedTuple):
    """Whose budget it is, in words, and its name of a key and a team; None: all requests have one together."""

    words: str
    of: Callable[[str | None, str | None], str | None]


WHOSE = {
    "model": Whose("for the model", lambda key, team: None),
    "key": Whose("for each API key", lambda key, team: key),
    "team": Whose("for each team, and for all keys without one together", lambda key, team: team),
}


class PaceSettings(PriceSettings):
    """What may be spent. Windows are those of the clock (UTC). Set `thinking_tokens` or `dollars`."""

    kind: Literal["pace"]
    thinking_tokens: Annotated[float, Field(ge=1)] | None = None
    dollars: Annotated[float, Field(gt=0)] | None = None
    """By the prices of the deployments."""
    every: Literal["hour", "day"] = "hour"
    of: Literal["model", "key", "team"] = "model"
    """Whose budget for this model it is: that of everybody, of each API key, or of each team."""

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

    @property
    def account(self) -> str:
        what = "dollars" if self.thinking_tokens is None else "thinking tokens"
        return f"{what} per {self.every} of the {self.of}"

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


@dataclass(frozen=True, slots=True)
class Pace:
    settings: PaceSettings
    surroundings: Surroundings

    @property
    def name(self) -> str:
        return self.settings.called

    def price(self, context: PriceContext) -> Prices:
        return Prices.of(self.name, self._of_request(context).price(self.surroundings.clock()))

    def recall(self, context: PriceContext) -> Recalled | None:
        return None

    def decided(self, context: PriceContext, decision: Decision) -> None:
        forecast, now = decision.forecast, self.surroundings.clock()
        spending = self._of_request(context)
        if decision.probe_options is not None:
            spending.hold(context.id, self._at_most(context, decision), now)
            return
        usual = forecast.price_at(USUAL_DIAL, "auto") if forecast is not None else 0.0
        expected = self._expected(context, decision)
        spending.decided(context.id, expected, now, usual or FIRST)

    def observe(self, record: Record) -> None:
        spent = record.cost if self.settings.dollars is not None else record.used or record.reasoning_tokens
        spending = self.spending(record.key, record.team)
        spending.settled(record.id, spent or 0.0, self.surroundings.clock(), record.status == 200)

    def _of_request(self, context: PriceContext) -> Spending:
        unit = 1.0
        if self.settings.dollars is not None:
            unit = max(one.pricing.output_price for one in context.arm.deployments) * PER_MILLION or 1.0
        return self.spending(context.call.key, context.team, unit)

    def spending(self, key: str | None, team: str | None, unit: float = 1.0) -> Spending:
        """The budget that a request of this key and team comes under; `unit` is what a token spends."""
        given, around = self.settings, self.surroundings
        scope = "\0".join((around.model, given.account, WHOSE[given.of].of(key, team) or ""))
        return Spending(given.target, SECONDS[given.every], around.book, scope, unit)

    def describe(self) -> str:
        return f"{self.settings.what} {WHOSE[self.settings.of].words}, as a price in P(correct) per token."

    def _at_most(self, context: PriceContext, decision: Decision) -> Expected:
        """What a request may come to spend whose effort a probe decides."""
        efforts = decision.forecast.efforts if decision.forecast is not None else ()
        return max((self._of(context, one) for one in efforts), default=Expected(0.0, 0.0))

    def _expected(self, context: PriceContext, decision: Decision) -> Expected:
        """What a request will spend under a decision; nothing is known without a forecast, but the budget."""
        effort, forecast = decision.effort, decision.forecast
        found = {one.effort: self._of(context, one) for one in (forecast.efforts if forecast is not None else ())}
        if effort in found:
            weakest = min((one for one in found if size(one) >= size(self.surroundings.weakest)), key=size)
            return found[effort]._replace(least=min(found[weakest].mean, found[effort].mean))
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

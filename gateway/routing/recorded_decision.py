"""A decision explained from its record: the forecasts, every price and its setter, and what would have changed it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import orjson

from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort, level_of, words
from gateway.core.forecast import EffortForecast
from gateway.core.prices import PRICES, PricePart, Prices
from gateway.core.record import Record
from gateway.routing.policies.price_intervals import choosing, reread_price, second_price, token_price
from gateway.routing.policies.worth import worth
from router_model.offpolicy.spread import FIXED, Spread

Json = dict[str, Any]
AXES = dict(zip(PRICES, (token_price, second_price, reread_price), strict=True))
# Why an effort was chosen, where prices had a part in it.
PRICED = ("router", "probe", "explore")


def explain_record(record: Record, level: Callable[[Effort], str] = level_of) -> Json:
    """In the form of `Explanation.as_json`, with what is not recorded left out. `level`: what an effort is called."""
    efforts, prices = _efforts(record.forecast), _prices(record.prices)
    others = [one for one in efforts if words(one.effort) != record.decided] if record.reason in PRICED else []
    decided = None if record.decided is None else effort_of(record.decided)
    return {
        "id": record.id,
        "request_id": record.request_id,
        "time": record.time,
        "model": record.model,
        "arm": record.arm,
        "router": record.router,
        "config": record.config,
        "efforts": [{**_effort(one, level), "worth": worth(one, prices)} for one in efforts],
        "prices": {
            **{name: getattr(prices, name) for name in PRICES},
            "setters": {part.setter: {name: getattr(part, name) for name in PRICES} for part in prices.parts},
            "z": prices.z,
        },
        "decision": {
            "effort": record.decided,
            "level": None if decided is None else level(decided),
            "budget": None if decided is None else decided.budget,
            "reason": record.reason,
            "propensity": record.propensity,
            "probe": record.probe is not None,
            "deployment": record.deployment,
            "applied": record.applied,
            "used": record.used,
            "notes": [] if record.notes is None else record.notes.split("; "),
        },
        "alternatives": [_alternative(one.effort, efforts, prices, level) for one in others],
    }


def effort_of(text: str) -> Effort:
    """The effort that records call so: none, a number of tokens, or unlimited."""
    if text == "none":
        return NO_THINKING
    return UNLIMITED if text == "unlimited" else Effort(True, int(text))


def _efforts(forecast: str | None) -> list[EffortForecast]:
    rows = [] if forecast is None else orjson.loads(forecast)
    return [EffortForecast(effort_of(effort), *numbers) for effort, *numbers in rows]


def _prices(recorded: str | None) -> Prices:
    given: Json = {} if recorded is None else orjson.loads(recorded)
    z, (share, steps) = given.pop("z", 0.0), given.pop("spread", FIXED)
    most_loss = given.pop("most_loss", math.inf)
    parts = tuple(PricePart(setter, **part) for setter, part in given.items())
    token, second, reread = (math.fsum(getattr(part, name) for part in parts) for name in PRICES)
    return Prices(token, second, reread, parts, z, Spread(share, tuple(steps)), most_loss)


def _effort(one: EffortForecast, level: Callable[[Effort], str]) -> Json:
    return {**one._asdict(), "effort": words(one.effort), "level": level(one.effort)}


def _alternative(effort: Effort, efforts: list[EffortForecast], prices: Prices, level: Callable[[Effort], str]) -> Json:
    """At which prices the effort would have been the best of those that were forecast."""
    found = {name: choosing(effort, efforts, axis(prices)) for name, axis in AXES.items()}
    setters: Json = {}
    for part in prices.parts:
        for name, intervals in found.items():
            own, rest = getattr(part, name), getattr(prices, name) - getattr(part, name)
            if own:
                needed = [[max(low - rest, 0.0), _end(high - rest)] for low, high in intervals if high > rest]
                setters.setdefault(part.setter, {})[name] = needed
    return {
        "effort": words(effort),
        "level": level(effort),
        "probe": False,
        "prices": {name: [[low, _end(high)] for low, high in intervals] for name, intervals in found.items()},
        "setters": setters,
    }


def _end(price: float) -> float | None:
    return price if math.isfinite(price) else None

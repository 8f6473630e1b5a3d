"""Price setters of a model, with the state that they had before a reload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from gateway.assembly.each import each
from gateway.assembly.live import Live
from gateway.config.model import ModelSettings
from gateway.core.arm import Arm
from gateway.core.efforts import NO_THINKING, Effort, size
from gateway.core.errors import ConfigError
from gateway.core.serving_limits import PER_MILLION
from gateway.routing.policies.protocol import Policy
from gateway.routing.prices.protocol import PriceSetter, PriceSettings, Surroundings


def price_setters(
    name: str,
    model: ModelSettings,
    policy: Policy,
    arms: Iterable[Arm],
    live: Live,
) -> tuple[PriceSetter, ...]:
    """ConfigError: two of one name, a policy that buys at no price, or a setter that asks for what cannot be."""
    if not model.prices:
        return ()
    if not model.policy.needs_router:
        raise ConfigError([f"prices: a {model.policy.kind_name} policy buys at no price: choose a dial or a contract"])
    names, accounts = (
        _twice(given) for given in zip(*((one.called, one.account) for one in model.prices), strict=True)
    )
    wrong = [f"prices: {count} setters are called {called!r}: give each a `name`" for called, count in names]
    wrong += [f"prices: {count} budgets are of {account}: keep one of them" for account, count in accounts if account]
    if wrong:
        raise ConfigError(wrong)
    arms = tuple(arms)
    allowed = [effort for arm in arms for effort in arm.efforts if policy.allows(effort)]
    deployments = [one for arm in arms for one in arm.deployments]
    ungated = [one for one in deployments if one.admission.max_in_flight is None]
    weakest = min(allowed, key=size, default=NO_THINKING)
    surroundings = Surroundings(
        model=name,
        weakest=weakest,
        gated=not ungated,
        engines_say=all(one.family.host.load_metrics for one in ungated),
        has_dollars=any(one.pricing.output_price > 0 for one in deployments),
        floor_dollars=min((_dollars(weakest, arm) for arm in arms), default=0.0),
        load_of=live.load_of,
        book=live.book,
    )
    kept = {setter.name: setter for setter in live.setters_of(name)}

    def build(called: str, given: PriceSettings) -> PriceSetter:
        made = given.setter(surroundings)
        old = kept.get(called)
        return old if old is not None and given.has_state and old.settings == given else made

    return tuple(each({one.called: one for one in model.prices}, "prices", build).values())


def _dollars(effort: Effort, arm: Arm) -> float:
    """What the thinking of one request may cost there."""
    deployment = arm.find(effort)
    price = 0.0 if deployment is None else deployment.pricing.output_price
    return price * PER_MILLION * size(effort) if price else 0.0


def _twice(given: Iterable[str]) -> Iterator[tuple[str, int]]:
    return ((one, count) for one, count in Counter(given).items() if count > 1)

"""Effort routers: what would each effort bring this request? A forecast, never a decision."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from gateway.efforts import size
from gateway.pace import Paces
from gateway.types import Arm, Call, Effort, EffortForecast, Forecast

log = logging.getLogger("thinkgate")

# Above this many bytes of request a forecast leaves the event loop: other requests must not wait for it.
INLINE_BYTES = 32_768


class EffortRouter(Protocol):
    version: str

    def knows(self, arm: Arm) -> bool:
        """Whether it can say anything about an arm. Asked at start-up, so that no request pays for getting ready."""
        ...

    async def forecast(self, call: Call, arm: Arm) -> Forecast | None:
        """One forecast per effort of the arm that the router knows; None if it knows none. May raise or be slow."""
        ...


class Head(Protocol):
    """One effort of one model in a router artifact; `budget` None is unlimited."""

    model: str
    think: bool
    budget: int | None


class HeadForecast(Protocol):
    head: Any
    p_correct: float
    thinking_tokens: float
    answer_tokens: float


class Predictor(Protocol):
    """What the gateway needs of a router artifact."""

    version: str
    heads: tuple[Any, ...]

    def forecast(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        models: Collection[str] | None = None,
    ) -> list[Any]: ...

    def price_for_dial(self, x: float, models: Collection[str]) -> float: ...


async def ask(router: EffortRouter, call: Call, arm: Arm, deadline_s: float) -> Forecast | None:
    """The router's forecast, or None when it fails or is late: that is no error, the policy has a default."""
    try:
        async with asyncio.timeout(deadline_s):
            return await router.forecast(call, arm)
    except TimeoutError:
        log.warning("router %s was late for request %s", router.version, call.request_id)
    except Exception:
        log.warning("router %s failed on request %s", router.version, call.request_id, exc_info=True)
    return None


class NoRouter:
    """Knows nothing."""

    version = "none"

    def knows(self, arm: Arm) -> bool:
        return False

    async def forecast(self, call: Call, arm: Arm) -> Forecast | None:
        return None


class ConstantRouter:
    """The same forecast for every prompt: the baseline that a learned router must beat.

    Thinking helps with diminishing returns; at any dial position every request gets the same effort.
    """

    version = "constant"

    def __init__(self, paces: Paces) -> None:
        self._paces = paces

    def knows(self, arm: Arm) -> bool:
        return True

    async def forecast(self, call: Call, arm: Arm) -> Forecast | None:
        return Forecast(self.version, tuple(self._one(effort, arm) for effort in arm.efforts), self._price_at)

    def _one(self, effort: Effort, arm: Arm) -> EffortForecast:
        budget = min(size(effort), 1e5)
        p = 0.5 + 0.45 * (1 - math.exp(-budget / 64))
        return _forecast(effort, p, budget / 2, 50.0, arm, self._paces)

    @staticmethod
    def _price_at(dial: float) -> float:
        return float(10 ** (-1 - 5 * dial)) if dial < 1 else 0.0


# Two heads of an artifact and the share of the second: a budget between two that the router was trained on.
Mix = tuple[Any, Any, float]
# Heads of this model are means over all models of a table: for deployments that the artifact does not know by name.
ANY_MODEL = "*"


class PredictorRouter:
    """A learned router: an artifact's predictor, scored in this process."""

    def __init__(self, predictor: Predictor, paces: Paces) -> None:
        self.version = predictor.version
        self._predictor = predictor
        self._paces = paces
        self._known: dict[Arm, tuple[dict[Effort, Mix], tuple[str, ...]]] = {}

    def knows(self, arm: Arm) -> bool:
        mixes = known_efforts(arm, self._predictor.heads)
        models = tuple(dict.fromkeys(head.model for low, high, _ in mixes.values() for head in (low, high)))
        self._known[arm] = mixes, models
        if mixes:
            self._predictor.price_for_dial(0.5, models)
        return bool(mixes)

    async def forecast(self, call: Call, arm: Arm) -> Forecast | None:
        mixes, models = self._known[arm]
        if not mixes:
            return None
        messages, tools = call.body["messages"], call.body.get("tools")
        score: Callable[..., list[Any]] = self._predictor.forecast
        if call.size <= INLINE_BYTES:
            rows = score(messages, tools, models)
        else:
            rows = await asyncio.to_thread(score, messages, tools, models)
        by_head = {row.head: row for row in rows}
        efforts = tuple(
            self._blend(effort, by_head[low], by_head[high], share, arm) for effort, (low, high, share) in mixes.items()
        )
        return Forecast(self.version, efforts, lambda dial: self._predictor.price_for_dial(dial, models))

    def _blend(self, effort: Effort, low: HeadForecast, high: HeadForecast, share: float, arm: Arm) -> EffortForecast:
        p = low.p_correct + share * (high.p_correct - low.p_correct)
        thinking = low.thinking_tokens + share * (high.thinking_tokens - low.thinking_tokens)
        answer = low.answer_tokens + share * (high.answer_tokens - low.answer_tokens)
        return _forecast(effort, p, min(thinking, size(effort)), answer, arm, self._paces)


def known_efforts(arm: Arm, heads: Sequence[Any]) -> dict[Effort, Mix]:
    """The arm's efforts that the artifact can score, with the heads to score them by."""
    mixes: dict[Effort, Mix] = {}
    for effort in arm.efforts:
        deployment = arm.deployment_for(effort)
        assert deployment is not None, "an arm offers only efforts it has a deployment for"
        fitting = [head for head in heads if head.think == effort.think]
        own = [head for head in fitting if head.model == deployment.router_name]
        known = own or [head for head in fitting if head.model == ANY_MODEL]
        if known:
            mixes[effort] = _mix(effort, sorted(known, key=_budget))
    return mixes


def _budget(head: Any) -> float:
    return math.inf if head.budget is None else float(head.budget)


def _mix(effort: Effort, heads: list[Any]) -> Mix:
    """The heads on both sides of a budget, on a logarithmic scale; at the ends, and without thinking, one head."""
    wanted = size(effort)
    below = [h for h in heads if _budget(h) <= wanted]
    above = [h for h in heads if _budget(h) >= wanted]
    if not effort.think or not below or not above:
        end = heads[0] if not effort.think or not below else heads[-1]
        return end, end, 0.0
    low, high = below[-1], above[0]
    if _budget(low) == _budget(high) or math.isinf(_budget(high)):
        return (low, low, 0.0) if not math.isinf(wanted) else (high, high, 0.0)
    share = math.log(wanted / _budget(low)) / math.log(_budget(high) / _budget(low))
    return low, high, share


def _forecast(effort: Effort, p: float, thinking: float, answer: float, arm: Arm, paces: Paces) -> EffortForecast:
    deployment = arm.deployment_for(effort)
    assert deployment is not None, "an arm offers only efforts it has a deployment for"
    return EffortForecast(effort, p, thinking, answer, paces[deployment.name].seconds(thinking + answer))

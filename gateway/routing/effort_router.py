"""Effort routers: what would each effort bring this request? A forecast, never a decision."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Protocol

from gateway.backends.latency import LatencyModel, LatencyModels
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.contract import Contract, Guarantee
from gateway.core.efforts import NO_THINKING, Effort, size, words
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.probe import Probe, ProbeUse

log = logging.getLogger("thinkgate")

# Above this many bytes of request a forecast leaves the event loop: other requests must not wait for it.
INLINE_BYTES = 32_768
# Positions of the dial whose prices are kept: operators set few, clients may send any.
DIALS = 256


class EffortRouter(Protocol):
    version: str

    def prepare(self, arm: Arm, ask: ProbeUse = "auto") -> bool:
        """Whether it can say anything about an arm. Asked at start-up, with the way its policy asks for probes, so that
        no request pays for getting ready.
        """
        ...

    def supports_probes(self, arm: Arm) -> bool:
        """Whether probes tell it anything about an arm that it knows."""
        ...

    def forecast(self, call: Call, arm: Arm) -> Forecast | None:
        """One forecast per effort of the arm that the router knows; None if it knows none. May raise."""
        ...

    def observed_efforts(self, arm: Arm) -> tuple[Effort, ...]:
        """The arm's efforts of which it has seen outcomes of just this effort, of just the arm's own deployments."""
        ...

    def guarantee(self, arm: Arm, contract: Contract, efforts: Sequence[Effort]) -> Guarantee:
        """What can be promised, choosing between these of the arm's efforts, weakest first; kept for its forecasts."""
        ...

    def update(self, forecast: Forecast, arm: Arm, probe: Probe) -> Forecast:
        """What is known of the same request after a probe that the forecast said might be worth it. May raise."""
        ...


class Scores(Protocol):
    """Per effort: P(correct), expected thinking and answer tokens."""

    @property
    def p_correct(self) -> Sequence[float]: ...
    @property
    def thinking_tokens(self) -> Sequence[float]: ...
    @property
    def answer_tokens(self) -> Sequence[float]: ...


class Surface(Protocol):
    """Some efforts on an artifact's response surface."""

    @property
    def nearest(self) -> Sequence[int]:
        """For each effort the head nearest to it."""
        ...


class Predictor(Protocol):
    """What the gateway needs of a router artifact."""

    version: str

    @property
    def heads(self) -> Sequence[Any]: ...
    @property
    def probes_known(self) -> Collection[int]:
        """The heads whose probes tell it something."""
        ...

    def restricted(self, models: Collection[str]) -> Predictor: ...

    def surface(self, efforts: Sequence[tuple[str, bool, int | None]]) -> Surface:
        """Forecasts for efforts, each a model, whether it thinks, and the budget (None: unlimited)."""
        ...

    def read(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None) -> Any:
        """The request, read once for forecasts before and after a probe."""
        ...

    def is_strange(self, reading: Any) -> bool: ...

    def scores(self, reading: Any, probe: Any = None, probed: int | None = None) -> Scores: ...

    def at(self, surface: Any, scores: Any, reading: Any) -> Scores:
        """The forecasts of the efforts of a surface, from those that `scores` made."""
        ...

    def probe(self, logprobs: Sequence[float], first_margin: float | None, truncated: bool) -> Any:
        """What `scores` takes as a probe. ValueError: it has no tokens."""
        ...

    def wants_probe(self, reading: Any, scores: Any, head: int, best_direct: float, cost: float) -> bool: ...

    def price_for_dial(self, x: float, ask: ProbeUse = "auto") -> float: ...
    def promised(
        self,
        max_regret: float,
        confidence: float,
        horizon: int | None,
        net: bool,
        ask: ProbeUse,
        efforts: Sequence[int],
    ) -> Any:
        """The price at which a contract is kept, and what it did on tried prompts."""
        ...


async def ask(router: EffortRouter, call: Call, arm: Arm, deadline_s: float) -> Forecast | None:
    """The router's forecast, or None when it fails or is late: that is no error, the policy has a default.

    Only the forecast of a long request can be late: that of a short one is made at once, in the event loop.
    """
    try:
        if call.size <= INLINE_BYTES:
            return router.forecast(call, arm)
        async with asyncio.timeout(deadline_s):
            return await asyncio.to_thread(router.forecast, call, arm)
    except TimeoutError:
        log.warning("router %s was late for request %s", router.version, call.request_id)
    except Exception:
        log.warning("router %s failed on request %s", router.version, call.request_id, exc_info=True)
    return None


def reconsider(router: EffortRouter, call: Call, arm: Arm, before: Forecast, probe: Probe | None) -> Forecast:
    """The forecast after a probe; where there is none, or the router fails on it, only thinking is left of `before`."""
    if probe is None:
        return before.thinking()
    try:
        return router.update(before, arm, probe)
    except Exception:
        log.warning("router %s failed on the probe of request %s", router.version, call.request_id, exc_info=True)
    return before.thinking()


class NoRouter:
    """Knows nothing."""

    version = "none"

    def prepare(self, arm: Arm, ask: ProbeUse = "auto") -> bool:
        return False

    def supports_probes(self, arm: Arm) -> bool:
        return False

    def forecast(self, call: Call, arm: Arm) -> Forecast | None:
        return None

    def observed_efforts(self, arm: Arm) -> tuple[Effort, ...]:
        return ()

    def guarantee(self, arm: Arm, contract: Contract, efforts: Sequence[Effort]) -> Guarantee:
        return Guarantee(None, None, why=f"the router {self.version!r} rests on no outcomes")

    def update(self, forecast: Forecast, arm: Arm, probe: Probe) -> Forecast:
        return forecast


class ConstantRouter(NoRouter):
    """The same forecast for every prompt: the baseline that a learned router must beat.

    Thinking helps with diminishing returns; at any dial position every request gets the same effort.
    """

    version = "constant"

    def __init__(self, paces: LatencyModels) -> None:
        self._paces = paces

    def prepare(self, arm: Arm, ask: ProbeUse = "auto") -> bool:
        return True

    def forecast(self, call: Call, arm: Arm) -> Forecast | None:
        return Forecast(self.version, tuple(self._one(effort, arm) for effort in arm.efforts), self._price_at)

    def _one(self, effort: Effort, arm: Arm) -> EffortForecast:
        budget = min(size(effort), 1e5)
        p = 0.5 + 0.45 * (1 - math.exp(-budget / 64))
        seconds = _pace(arm, effort, self._paces).seconds(budget / 2 + 50.0)
        return EffortForecast(effort, p, budget / 2, 50.0, seconds)

    @staticmethod
    def _price_at(dial: float, ask: ProbeUse) -> float:
        return float(10 ** (-1 - 5 * dial)) if dial < 1 else 0.0


# Heads of this model are means over all models of a table: for deployments that the artifact does not know by name.
ANY_MODEL = "*"


@dataclass(frozen=True, slots=True)
class _Known:
    """What an artifact knows of an arm: the efforts it can forecast, each with the pace of its deployment.

    `asked` is the head of the effort without thinking, if probes of it tell something.
    """

    predictor: Predictor
    surface: Surface
    paced: tuple[tuple[Effort, LatencyModel], ...]
    asked: int | None
    price_at: Callable[[float, ProbeUse], float]
    promises: dict[Contract, Guarantee]

    def efforts(self, scores: Scores, reading: Any, probed: bool) -> tuple[EffortForecast, ...]:
        """`probed`: the answer without thinking is there already, and costs nothing more."""
        told = self.predictor.at(self.surface, scores, reading)
        efforts = []
        for (effort, pace), right, thought, said in zip(
            self.paced, told.p_correct, told.thinking_tokens, told.answer_tokens, strict=True
        ):
            if probed and not effort.think:
                efforts.append(EffortForecast(effort, right, 0.0, 0.0, 0.0))
            else:
                efforts.append(EffortForecast(effort, right, thought, said, pace.seconds(thought + said)))
        return tuple(efforts)


class PredictorRouter:
    """A learned router: an artifact's predictor, scored in this process."""

    def __init__(self, predictor: Predictor, paces: LatencyModels) -> None:
        self.version = predictor.version
        self._predictor = predictor
        self._paces = paces
        self._known: dict[Arm, _Known] = {}

    def prepare(self, arm: Arm, ask: ProbeUse = "auto") -> bool:
        known = self._known.get(arm) or self._learn(arm)
        if known is None:
            return False
        known.predictor.price_for_dial(0.5, ask)  # the first one makes a table
        return True

    def _learn(self, arm: Arm) -> _Known | None:
        models = known_efforts(arm, self._predictor.heads)
        if not models:
            return None
        own = self._predictor.restricted(set(models.values()))
        surface = own.surface([(model, effort.think, effort.budget) for effort, model in models.items()])
        none = dict(zip(models, surface.nearest, strict=True)).get(NO_THINKING)
        known = self._known[arm] = _Known(
            own,
            surface,
            tuple((effort, _pace(arm, effort, self._paces)) for effort in models),
            none if none in own.probes_known else None,
            lru_cache(DIALS)(own.price_for_dial),
            {},
        )
        return known

    def observed_efforts(self, arm: Arm) -> tuple[Effort, ...]:
        heads = {(head.model, head.think, head.budget) for head in self._predictor.heads}
        return tuple(effort for effort in arm.efforts if _head_of(effort, arm) in heads)

    def guarantee(self, arm: Arm, contract: Contract, efforts: Sequence[Effort]) -> Guarantee:
        known = self._known.get(arm)
        if known is None or not efforts or not {*efforts} <= {*self.observed_efforts(arm)}:
            what = words(efforts[-1]) if efforts else "anything"
            return Guarantee(None, None, why=f"the router {self.version} has seen no outcomes of {what}")
        at = {effort: head for (effort, _), head in zip(known.paced, known.surface.nearest, strict=True)}
        heads = [at[effort] for effort in efforts]

        def by(ask: ProbeUse) -> Any:
            return known.predictor.promised(*contract[:4], ask, heads)

        asks = contract.ask != "never" and known.asked == heads[0] and len(heads) > 1
        direct, asking = by("never"), by(contract.ask) if asks else None
        shown = direct if asking is None else asking
        why = None
        if shown.price is None:
            why = f"no price keeps it on the {shown.prompts} prompts of {self.version}: too few, or it knows too little"
        found = known.promises[contract] = Guarantee(
            None if asking is None else asking.price,
            direct.price,
            shown.prompts,
            shown.harmed,
            shown.bound,
            shown.loss,
            shown.saved,
            why,
        )
        return found

    def supports_probes(self, arm: Arm) -> bool:
        known = self._known.get(arm)
        return known is not None and known.asked is not None

    def forecast(self, call: Call, arm: Arm) -> Forecast | None:
        known = self._known.get(arm)
        if known is None:
            return None
        predictor, asked = known.predictor, known.asked
        reading = predictor.read(call.body["messages"], call.body.get("tools"))
        scores = predictor.scores(reading)
        return Forecast(
            self.version,
            known.efforts(scores, reading, probed=False),
            known.price_at,
            strange=predictor.is_strange(reading),
            worth_asking=None if asked is None else partial(predictor.wants_probe, reading, scores, asked),
            reading=reading,
            promised=known.promises.get,
        )

    def update(self, forecast: Forecast, arm: Arm, probe: Probe) -> Forecast:
        known = self._known[arm]
        scores = known.predictor.scores(forecast.reading, known.predictor.probe(*probe), known.asked)
        efforts = known.efforts(scores, forecast.reading, probed=True)
        return replace(forecast, efforts=efforts, probed=True, worth_asking=None)


def _head_of(effort: Effort, arm: Arm) -> tuple[str, bool, int | None]:
    """What the head of just this effort says of itself."""
    deployment = arm.deployment_for(effort)
    assert deployment is not None, "an arm offers only efforts it has a deployment for"
    return deployment.router_name, effort.think, effort.budget if effort.think else None


def _pace(arm: Arm, effort: Effort, paces: LatencyModels) -> LatencyModel:
    deployment = arm.deployment_for(effort)
    assert deployment is not None, "an arm offers only efforts it has a deployment for"
    return paces[deployment.name]


def known_efforts(arm: Arm, heads: Sequence[Any]) -> dict[Effort, str]:
    """The arm's efforts that the artifact can forecast, with the model by whose heads."""
    known: dict[Effort, str] = {}
    for effort in arm.efforts:
        deployment = arm.deployment_for(effort)
        assert deployment is not None, "an arm offers only efforts it has a deployment for"
        models = {head.model for head in heads if head.think == effort.think}
        for name in (deployment.router_name, ANY_MODEL):
            if name in models:
                known[effort] = name
                break
    return known

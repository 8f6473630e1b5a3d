"""A learned router: an artifact's predictor, scored in this process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

from gateway.backends.latency import LatencyModel, LatencyModels
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.contract import Contract, Guarantee
from gateway.core.efforts import NO_THINKING, Effort, size
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.probe import Probe, ProbeUse
from gateway.routing.effort_router.cold_start import ColdStartArm, GenericProbe
from gateway.routing.effort_router.none import UnknownArm, describe_unknown, without_outcomes
from gateway.routing.effort_router.predictor import Predictor, Scores, Surface
from gateway.routing.effort_router.protocol import PreparedArm

# Positions of the dial whose prices are kept: operators set few, clients may send any.
DIALS = 256
# Heads of this model are means over all models of a table: for deployments that the artifact does not know by name.
ANY_MODEL = "*"


class PredictorRouter:
    """`generic` judges probes of deployments of whose probes the artifact has no outcomes; None: there are none."""

    def __init__(self, predictor: Predictor, paces: LatencyModels, generic: GenericProbe | None = None) -> None:
        self.version = predictor.version
        self._generic = generic
        self._predictor = predictor
        self._paces = paces

    def prepare(self, arm: Arm, ask: ProbeUse) -> PreparedArm:
        known = self.prepare_learned(arm, ask)
        if known is None:
            return UnknownArm(self.version)
        if self._generic is None or known.asked is not None or ask == "never" or not known.answers_without_thinking:
            return known
        return ColdStartArm(known, self._generic)

    def prepare_learned(self, arm: Arm, ask: ProbeUse) -> LearnedArm | None:
        """None: the artifact knows none of its efforts."""
        models = known_efforts(arm, self._predictor.heads)
        if not models:
            return None
        own = self._predictor.restricted(set(models.values()))
        surface = own.surface([(model, effort.think, effort.budget) for effort, model in models.items()])
        heads = dict(zip(models, surface.nearest, strict=True))
        none = heads.get(NO_THINKING)
        own.price_for_dial(0.5, ask)  # the first one makes a table
        return LearnedArm(
            self.version,
            own,
            surface,
            tuple((effort, self._paces[arm.deployment_for(effort).name]) for effort in models),
            none if none in own.probes_known else None,
            lru_cache(DIALS)(own.price_for_dial),
            {effort: heads[effort] for effort in self.observed_efforts(arm)},
        )

    def observed_efforts(self, arm: Arm) -> tuple[Effort, ...]:
        heads = {(head.model, head.think, head.budget) for head in self._predictor.heads}
        return tuple(effort for effort in arm.efforts if _head_of(effort, arm) in heads)

    def describe(self, unknown: Collection[str]) -> str:
        if unknown:
            return describe_unknown(self.version, unknown)
        said = f"{self.version}, which can be served: SIGHUP and the operators' POST /routers/reload read it again."
        if self._generic is None:
            return said
        return (
            f"{said} Of deployments of whose probes it has no outcomes, probes are sent only for requests outside its "
            f"training distribution, and judged by {self._generic.version}."
        )


@dataclass(frozen=True, slots=True)
class _ProbeValue:
    """What a probe of the head `asked` would tell of one request."""

    predictor: Predictor
    reading: Any
    scores: Scores
    asked: int

    def pays(self, best_direct: float, cost: float) -> bool:
        return self.predictor.wants_probe(self.reading, self.scores, self.asked, best_direct, cost)

    @property
    def always(self) -> bool:
        return self.predictor.always_probes(self.reading)

    @property
    def outcomes(self) -> Sequence[float]:
        return self.predictor.probe_outcomes(self.scores, self.asked)


@dataclass(frozen=True, slots=True)
class LearnedArm:
    """What an artifact knows of an arm: the efforts it can forecast, each with the pace of its deployment.

    `asked` is the head of the effort without thinking, if probes of it tell something; `observed` are the heads of the
    efforts of which there are outcomes.
    """

    version: str
    predictor: Predictor
    surface: Surface
    paced: tuple[tuple[Effort, LatencyModel], ...]
    asked: int | None
    price_at: Callable[[float, ProbeUse], float]
    observed: Mapping[Effort, int]

    @property
    def is_known(self) -> bool:
        return True

    @property
    def supports_probes(self) -> bool:
        return self.asked is not None

    @property
    def answers_without_thinking(self) -> bool:
        return any(not effort.think for effort, _ in self.paced)

    def usually_right(self, reading: Any) -> Sequence[float]:
        return self.predictor.at(self.surface, self.predictor.usual(self.predictor.scores(reading)), reading).p_correct

    def probe(self, probe: Probe) -> Any:
        return self.predictor.probe(*probe)

    def forecast(self, call: Call) -> Forecast | None:
        return self._forecast_of(self.predictor.read(call.body["messages"], call.body.get("tools")))

    def reread(self, kept: Any) -> Forecast | None:
        """The forecast of a request whose features were kept; None: another kind of router has read it."""
        if kept.encoding != self.predictor.encoding:
            return None
        return self._forecast_of(self.predictor.again(kept.row, kept.novelty))

    def _forecast_of(self, reading: Any) -> Forecast:
        predictor, asked = self.predictor, self.asked
        scores = predictor.scores(reading)
        return Forecast(
            self.version,
            self._efforts(scores, reading, probed=False),
            self.price_at,
            is_ood=predictor.is_ood(reading),
            probe_value=None if asked is None else _ProbeValue(predictor, reading, scores, asked),
            reading=reading,
            features=partial(predictor.kept, reading),
            thinking_p90=partial(self._thinking_p90, scores, reading),
        )

    def update(self, forecast: Forecast, probe: Probe) -> Forecast:
        scores = self.predictor.scores(forecast.reading, self.predictor.probe(*probe), self.asked)
        efforts = self._efforts(scores, forecast.reading, probed=True)
        return replace(forecast, efforts=efforts, probed=True, probe_value=None)

    def guarantee(self, contract: Contract, efforts: Sequence[Effort]) -> Guarantee:
        if not efforts or not {*efforts} <= {*self.observed}:
            return without_outcomes(self.version, efforts)
        heads = [self.observed[effort] for effort in efforts]

        def by(ask: ProbeUse) -> Any:
            return self.predictor.promised(*contract[:4], ask, heads)

        asks = contract.ask != "never" and self.asked == heads[0] and len(heads) > 1
        direct, asking = by("never"), by(contract.ask) if asks else None
        shown = direct if asking is None else asking
        why = None
        if shown.price is None:
            why = f"no price keeps it on the {shown.prompts} prompts of {self.version}: too few, or weak forecasts"
        return Guarantee(
            None if asking is None else asking.price,
            direct.price,
            shown.prompts,
            shown.harmed,
            shown.bound,
            shown.loss,
            shown.saved,
            why,
        )

    def _thinking_p90(self, scores: Scores, reading: Any, effort: Effort) -> int | None:
        """Of the weakest known effort that may think as much; None: there is none."""
        stronger = [(size(known), head) for known, head in self.observed.items() if size(known) >= size(effort)]
        if not effort.think or not stronger:
            return None
        return round(self.predictor.quantiles(scores, reading).thinking[-1][min(stronger)[1]])

    def _efforts(self, scores: Scores, reading: Any, probed: bool) -> tuple[EffortForecast, ...]:
        """`probed`: the answer without thinking is there already, and costs nothing more."""
        at = self.predictor.at(self.surface, scores, reading)
        efforts = []
        for (effort, pace), right, thought, said in zip(
            self.paced, at.p_correct, at.thinking_tokens, at.answer_tokens, strict=True
        ):
            if probed and not effort.think:
                efforts.append(EffortForecast(effort, right, 0.0, 0.0, 0.0))
            else:
                efforts.append(EffortForecast(effort, right, thought, said, pace.seconds(thought + said)))
        return tuple(efforts)


def _head_of(effort: Effort, arm: Arm) -> tuple[str, bool, int | None]:
    """What the head of just this effort says of itself."""
    return arm.deployment_for(effort).router_name, effort.think, effort.budget if effort.think else None


def known_efforts(arm: Arm, heads: Sequence[Any]) -> dict[Effort, str]:
    """The arm's efforts that the artifact can forecast, with the model by whose heads."""
    known: dict[Effort, str] = {}
    for effort in arm.efforts:
        models = {head.model for head in heads if head.think == effort.think}
        for name in (arm.deployment_for(effort).router_name, ANY_MODEL):
            if name in models:
                known[effort] = name
                break
    return known

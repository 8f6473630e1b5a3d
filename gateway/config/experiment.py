"""The settings of an experiment: which arms share the units of a model, and what ends it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from gateway.config.model import ArmSettings
from gateway.config.one_of import OneOf
from gateway.config.paired import PairedSettings
from gateway.config.types import RouterName
from gateway.core.errors import suggestion
from gateway.core.strict import HeaderName, StrictSettings, Unit, Weight
from gateway.routing.policies.protocol import PolicySettings
from gateway.routing.policies.registry import POLICIES

Metric = Literal[
    "outcome",
    "thinking_tokens",
    "total_tokens",
    "dollars",
    "ttft_s",
    "first_answer_s",
    "latency_s",
    "error",
    "over_budget",
    "leak",
]
METRICS: tuple[Metric, ...] = get_args(Metric)


def _known(names: Any) -> Any:
    """With the nearest name, where pydantic would list all of them."""
    for name in names if isinstance(names, list | dict) else []:
        if isinstance(name, str) and name not in METRICS:
            raise ValueError(f"{name!r} is not a metric.{suggestion(name, METRICS)}")
    return names


class ExperimentArmSettings(StrictSettings):
    """What differs from the model: its deployments, its policy, its dial or its router. All else is the model's."""

    deployment: str | None = None
    none: str | None = None
    think: str | None = None
    weight: Weight = 1.0
    """How many of the units it gets, beside the weights of the other arms."""
    policy: Annotated[PolicySettings, OneOf(POLICIES)] | None = None
    dial: Unit | None = None
    """The dial of the model's policy, or of the arm's own, in this arm."""
    router: RouterName | None = None

    @model_validator(mode="after")
    def _one_way(self) -> ExperimentArmSettings:
        if self.names_deployments:
            ArmSettings(deployment=self.deployment, none=self.none, think=self.think)
        return self

    @property
    def names_deployments(self) -> bool:
        return bool(self.deployment or self.none or self.think)


class StopSettings(StrictSettings):
    """When the experiment ends by itself: all units then go to its default arm. The first that comes true counts."""

    metric: Metric = "outcome"
    decided: bool = True
    """Once every other arm is surely better or surely worse than the default arm."""
    width: Annotated[float, Field(gt=0)] | None = None
    """Once every difference is known to within this much, from one end of its interval to the other."""
    max_units: Annotated[int, Field(ge=1)] | None = None


class ExperimentSettings(StrictSettings):
    """Several arms share the units of one model. A unit (a conversation, else a user, else a request) keeps its arm."""

    model: str
    """The public name of the model. One experiment for each model."""
    arms: dict[HeaderName, ExperimentArmSettings] = {}
    """Stands in for `arms` of the model, which are used if there are none here."""
    default: str | None = None
    """The arm that all are compared with, and that gets all units while the experiment is stopped; if left out, the
    first one."""
    running: bool = True
    """Whether units are shared out. Operators also start and stop it while the gateway runs; what happened last counts.
    """
    salt: Annotated[str, Field(min_length=1)] | None = None
    """Decides which units an arm gets; the experiment's name if left out. A new one draws every unit anew."""
    metrics: Annotated[list[Metric], Field(min_length=1)] = list(METRICS)
    """What is reported. The first one is what a verdict is about."""
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """The confidence of all intervals of one arm together, at any time."""
    guardrails: dict[Metric, Annotated[float, Field(ge=0)]] = {}
    """An arm gets no more units once it is surely worse than the default arm by more than this, in the unit of the
    metric: a share, tokens, dollars or seconds a request."""
    stop: StopSettings | None = None
    adjust: bool | None = None
    """Whether differences are adjusted for what the default arm was forecast to bring for each request, which narrows
    their intervals; if left out, where its policy decides by forecasts. It costs a forecast for requests of other arms.
    """
    paired: PairedSettings | None = None
    """Which requests every other arm answers, too, for their differences to be known from fewer of them."""

    @model_validator(mode="before")
    @classmethod
    def _metrics_are_known(cls, table: Any) -> Any:
        if isinstance(table, dict):
            _known(table.get("metrics"))
            _known(table.get("guardrails"))
        return table

    @model_validator(mode="after")
    def _each_metric_once(self) -> ExperimentSettings:
        if len(set(self.metrics)) < len(self.metrics):
            raise ValueError("metrics: one is named twice")
        return self

    def share(self, workers: int) -> ExperimentSettings:
        """One worker's part of what all of them together may do."""
        return self.model_copy(update={"paired": self.paired and self.paired.of_worker(workers)})

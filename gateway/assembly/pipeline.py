"""The path of requests, out of the parts that it leads through."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from gateway.auth.authenticator import Authenticator
from gateway.backends.capabilities import Capabilities
from gateway.config.settings import Settings
from gateway.execution.accounting import Accounting, no_key
from gateway.execution.answer_scoring import AnswerScoring
from gateway.execution.dispatch import Dispatch
from gateway.execution.ids import Ids
from gateway.execution.implicit_signals import ImplicitSignals
from gateway.execution.probe.prober import Prober
from gateway.observability.metrics import Metrics
from gateway.paired.shadow_runs import is_drawn
from gateway.pipeline import Pipeline
from gateway.routing.catalogue import Catalogue
from gateway.routing.decider import Decider
from gateway.routing.experiments.running import Experiments
from gateway.routing.templates import Templates
from gateway.storage.protocol import RecordStore


class PipelineParts(Protocol):
    """The parts of an application that this needs. `version` is that of the configuration."""

    @property
    def settings(self) -> Settings: ...
    @property
    def version(self) -> str: ...
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def experiments(self) -> Experiments: ...
    @property
    def dispatch(self) -> Dispatch: ...
    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def records(self) -> RecordStore: ...
    @property
    def scoring(self) -> AnswerScoring: ...
    @property
    def signals(self) -> ImplicitSignals: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def authenticator(self) -> Authenticator: ...


def pipeline(parts: PipelineParts, ids: Ids) -> Pipeline:
    settings, version, catalogue, experiments = parts.settings, parts.version, parts.catalogue, parts.experiments
    dispatch, capabilities, records, metrics = parts.dispatch, parts.capabilities, parts.records, parts.metrics
    scoring, signals = parts.scoring, parts.signals
    prober = Prober(dispatch, capabilities)
    templates = Templates() if settings.learn.templates else None
    deadline_s, levels = settings.server.router_deadline_s, capabilities.levels
    decider = Decider(catalogue, experiments, prober, capabilities.enforcement, deadline_s, levels, templates)
    implicit = signals if settings.feedback.implicit else None
    learns = parts.authenticator.learns if settings.learn.keeps_features else no_key
    accounting = Accounting(records, metrics, capabilities, catalogue.observe, scoring, implicit, version, learns)
    return Pipeline(decider, dispatch, prober, accounting, ids, partial(is_drawn, share=settings.learn.shadow))

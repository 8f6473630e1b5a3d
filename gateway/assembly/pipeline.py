"""The path of requests, out of the parts that it leads through."""

from __future__ import annotations

from gateway.backends.capabilities import Capabilities
from gateway.config.settings import Settings
from gateway.execution.accounting import Accounting
from gateway.execution.answer_scoring import AnswerScoring
from gateway.execution.dispatch import Dispatch
from gateway.execution.ids import Ids
from gateway.execution.implicit_signals import ImplicitSignals
from gateway.execution.probe.prober import Prober
from gateway.observability.metrics import Metrics
from gateway.pipeline import Pipeline
from gateway.routing.catalogue import Catalogue
from gateway.routing.decider import Decider
from gateway.routing.experiments.running import Experiments
from gateway.storage.protocol import RecordStore


def pipeline(
    settings: Settings,
    version: str,
    catalogue: Catalogue,
    experiments: Experiments,
    dispatch: Dispatch,
    capabilities: Capabilities,
    records: RecordStore,
    scoring: AnswerScoring,
    signals: ImplicitSignals,
    metrics: Metrics,
    ids: Ids,
) -> Pipeline:
    """`version` is that of the configuration."""
    prober = Prober(dispatch, capabilities)
    decider = Decider(catalogue, experiments, prober, capabilities.enforcement, settings.server.router_deadline_s)
    implicit = signals if settings.feedback.implicit else None
    keeps = settings.learn.keeps_features
    accounting = Accounting(records, metrics, capabilities, catalogue.observe, scoring, implicit, version, keeps)
    return Pipeline(decider, dispatch, prober, accounting, ids)

"""The experiments of a gateway, and what it takes to look at them without one that runs."""

from __future__ import annotations

from gateway.assembly.deployment import deployments
from gateway.assembly.model import catalogue
from gateway.assembly.storage import archive
from gateway.backends.latency import latency_models_of
from gateway.config.settings import Settings
from gateway.routing.catalogue import Catalogue
from gateway.routing.experiments.journal import Journal
from gateway.routing.experiments.running import Experiments
from gateway.routing.experiments.watch import ExperimentWatch


def experiments(chosen: Settings, models: Catalogue) -> Experiments:
    """Of a process that serves these models."""
    journal = Journal(chosen.experiments_path)
    return Experiments(models, journal, ExperimentWatch(journal, lambda: archive(chosen)))


def idle_experiments(chosen: Settings) -> Experiments:
    """To look at, and to start and stop. ConfigError: the settings cannot be served."""
    known = deployments(chosen)
    return experiments(chosen, catalogue(chosen, known, latency_models_of(known.values())))

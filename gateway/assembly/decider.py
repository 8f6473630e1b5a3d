"""What decides, without a gateway that runs: to explain decisions."""

from __future__ import annotations

from gateway.assembly.deployment import deployments
from gateway.assembly.experiments import experiments
from gateway.assembly.live import Live
from gateway.assembly.model import catalogue
from gateway.backends.admission import AdmissionController
from gateway.backends.capabilities import Capabilities
from gateway.backends.latency import latency_models_of
from gateway.backends.transport import Transport
from gateway.config.settings import Settings
from gateway.core.queue_observer import QueueObserver
from gateway.execution.dispatch import Dispatch
from gateway.execution.probe.prober import Prober
from gateway.routing.decider import Decider


def idle_decider(settings: Settings) -> Decider:
    """As of a gateway that has just started; it connects to nothing. ConfigError: the settings cannot be served."""
    known = deployments(settings)
    speeds = latency_models_of(known.values())
    capabilities = Capabilities()
    admission = {name: AdmissionController(each, speeds[name], QueueObserver()) for name, each in known.items()}
    prober = Prober(Dispatch(Transport(known), admission, {}, capabilities), capabilities)
    models = catalogue(settings, known, speeds, Live(admission))
    return Decider(
        models,
        experiments(settings, models),
        prober,
        capabilities.enforcement,
        settings.server.router_deadline_s,
        capabilities.levels,
    )

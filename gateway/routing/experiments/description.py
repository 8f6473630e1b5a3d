"""An experiment for operators and their programs."""

from __future__ import annotations

from gateway.core.aliases import JsonObject
from gateway.routing.experiments.experiment import Experiment
from gateway.routing.experiments.state import State


def described(experiment: Experiment, state: State) -> JsonObject:
    """JSON: whether it runs, and of each arm its weight, the share of units that it gets now, and whether a guardrail
    has stopped it.
    """
    shares = state.shares(experiment.default)
    total = sum(shares.values())
    return {
        "name": experiment.name,
        "model": experiment.settings.model,
        "running": state.running,
        "arms": [
            {
                "name": arm.name,
                "weight": state.weights.get(arm.name, arm.weight),
                "share": shares.get(arm.name, 0.0) / total,
                "default": arm.name == experiment.default,
                "stopped": arm.name in state.stopped,
            }
            for arm in experiment.arms
        ],
        "guardrails": dict(experiment.settings.guardrails),
    }

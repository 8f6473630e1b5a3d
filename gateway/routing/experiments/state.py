"""Whether an experiment runs, and with what weights: what was configured, and what has happened since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gateway.routing.experiments.experiment import Experiment

Action = Literal["configured", "started", "stopped", "weights", "arm_stopped"]


class Event(NamedTuple):
    """One change of an experiment. `time` is in seconds since 1970.

    `weights` by arm and `running` are what holds from then on, where the change is about them; `arm` is the one that
    gets no more units. `who` is an operator, or what of the gateway has done it, `why` a sentence.
    """

    time: float
    experiment: str
    action: Action
    who: str
    weights: Mapping[str, float] | None = None
    running: bool | None = None
    salt: str | None = None
    arm: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """`weights` of all arms by name; those in `stopped` get no units. `since`: when it was last configured or started,
    which is where guardrails begin to look.
    """

    running: bool
    weights: Mapping[str, float]
    stopped: frozenset[str] = frozenset()
    since: float = 0.0

    def shares(self, default: str) -> dict[str, float]:
        """The weights of the arms that get units now; the default arm has all of them if no other may have any."""
        if not self.running:
            return {default: 1.0}
        given = {arm: weight for arm, weight in self.weights.items() if arm not in self.stopped}
        return given or {default: 1.0}


class Phase(NamedTuple):
    """From `begin` on, until the next one, units were shared out by these weights."""

    begin: float
    weights: Mapping[str, float]


def configured(experiment: Experiment) -> State:
    return State(experiment.settings.running, experiment.weights)


def changed(state: State, event: Event) -> State:
    """After an event. Whoever starts an experiment gives its arms another chance; so does a new configuration."""
    weights = state.weights if event.weights is None else {**event.weights}
    running = state.running if event.running is None else event.running
    if event.action == "arm_stopped" and event.arm is not None:
        return State(running, weights, state.stopped | {event.arm}, state.since)
    if event.action in ("configured", "started"):
        return State(running, weights, frozenset(), event.time)
    return State(running, weights, state.stopped, state.since)


def state_of(experiment: Experiment, events: Iterable[Event]) -> State:
    """After all events, of which those of other experiments do not count."""
    state = configured(experiment)
    for event in events:
        if event.experiment == experiment.name:
            state = changed(state, event)
    return state


def phases_of(experiment: Experiment, events: Iterable[Event]) -> list[Phase]:
    """How units were shared out, in the order of time; the first one begins at 0."""
    state = configured(experiment)
    phases = [Phase(0.0, state.shares(experiment.default))]
    for event in events:
        if event.experiment == experiment.name:
            state = changed(state, event)
            phases.append(Phase(event.time, state.shares(experiment.default)))
    return phases

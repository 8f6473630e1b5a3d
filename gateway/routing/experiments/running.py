"""The experiments of a gateway that runs: which arm each unit has now, and who may change that."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from gateway.core.arm import Arm
from gateway.routing.catalogue import Catalogue, PublicModel
from gateway.routing.experiments.assignment import Weights, assign, moved_share
from gateway.routing.experiments.experiment import Experiment
from gateway.routing.experiments.journal import Journal
from gateway.routing.experiments.state import Action, Event, State, configured, state_of
from gateway.routing.experiments.watch import ExperimentWatch

log = logging.getLogger("thinkgate")
BY_CONFIGURATION = "configuration"


class Assigned(NamedTuple):
    """`model` is as the arm has it: with its policy and its router. `experiment` is None where none runs."""

    model: PublicModel
    arm: Arm
    experiment: str | None


class Assigner(Protocol):
    def assign(self, model: PublicModel, unit: str) -> Assigned:
        """The arm of a unit, which is named with its key."""
        ...


class _Sharing(NamedTuple):
    """How the units of a model are shared out: what was found at some time, for as long as nothing changes."""

    model: PublicModel
    events: tuple[Event, ...]
    weights: Weights
    experiment: str | None


class Experiments:
    """Those of this process. `open` comes before the first request, `close` after the last."""

    def __init__(self, catalogue: Catalogue, journal: Journal, watch: ExperimentWatch) -> None:
        self._catalogue = catalogue
        self._journal = journal
        self._watch = watch
        self._sharing: dict[str, _Sharing] = {}

    @property
    def journal(self) -> Journal:
        return self._journal

    def open(self) -> None:
        """Note what the configuration has changed; of all workers, the first one does."""
        for experiment in self:
            if _stated(experiment, self._journal.events()) != _statement(experiment):
                self._configure(experiment)
        self._watch.start(self)

    def close(self) -> None:
        self._watch.stop()

    def change(
        self,
        experiment: Experiment,
        action: Action,
        who: str,
        weights: Mapping[str, float] | None = None,
        running: bool | None = None,
    ) -> None:
        """From now on, for all workers and after a restart, until it is changed again or the configuration is."""
        with self._journal.writing() as write:
            before = self.state(experiment)
            write(Event(time.time(), experiment.name, action, who, weights, running))
        _log_shares(experiment, action, before, self.state(experiment), who)

    def assign(self, model: PublicModel, unit: str) -> Assigned:
        """The arm of a unit, which is named with its key."""
        if model.experiment is None:
            return Assigned(model, model.arms[0], None)
        events, sharing = self._journal.events(), self._sharing.get(model.name)
        if sharing is None or sharing.model is not model or sharing.events is not events:
            sharing = self._sharing[model.name] = _share(model, model.experiment, events)
        arm = assign(unit, model.experiment.salt, sharing.weights)
        return Assigned(model.with_arm(arm), arm, sharing.experiment)

    def state(self, experiment: Experiment) -> State:
        return state_of(experiment, self._journal.events())

    def __iter__(self) -> Iterator[Experiment]:
        return (model.experiment for model in self._catalogue if model.experiment is not None)

    def _configure(self, experiment: Experiment) -> None:
        with self._journal.writing() as write:
            before = _stated(experiment, self._journal.events())
            after = _statement(experiment)
            if before == after:
                return  # another worker was faster
            if before is not None:
                _log_change(experiment, self.state(experiment), before)
            weights, running, salt = after
            write(Event(time.time(), experiment.name, "configured", BY_CONFIGURATION, weights, running, salt))


class _Configured(NamedTuple):
    """What of a configuration decides where units go."""

    weights: Mapping[str, float]
    running: bool
    salt: str


def _statement(experiment: Experiment) -> _Configured:
    return _Configured(experiment.weights, experiment.settings.running, experiment.salt)


def _stated(experiment: Experiment, events: tuple[Event, ...]) -> _Configured | None:
    """What the configuration said when it was last looked at."""
    of_it = [each for each in events if each.experiment == experiment.name and each.action == "configured"]
    if not of_it:
        return None
    weights, running, salt = of_it[-1].weights, of_it[-1].running, of_it[-1].salt
    return _Configured(weights or {}, bool(running), salt or "")


def _share(model: PublicModel, experiment: Experiment, events: tuple[Event, ...]) -> _Sharing:
    state = state_of(experiment, events)
    shares = state.shares(experiment.default)
    weights = {arm: shares[arm.name] for arm in experiment.arms if arm.name in shares}
    return _Sharing(model, events, weights, experiment.name if state.running else None)


def _log_change(experiment: Experiment, state: State, before: _Configured) -> None:
    """Says what happens to the units of an experiment whose configuration is another one than at the last start."""
    if before.salt != experiment.salt:
        log.warning("experiment %s: its salt has changed, so every unit is drawn anew", experiment.name)
        return
    _log_shares(experiment, "configured", state, configured(experiment), BY_CONFIGURATION)


def _log_shares(experiment: Experiment, action: Action, before: State, after: State, who: str) -> None:
    old, new = (each.shares(experiment.default) for each in (before, after))
    log.warning(
        "experiment %s, %s by %s: units are now shared %s, before %s; %.0f %% of them change their arm",
        experiment.name,
        action,
        who,
        _words(new),
        _words(old),
        100 * moved_share(experiment.salt, old, new),
    )


def _words(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{arm} {weight / sum(weights.values()):.0%}" for arm, weight in weights.items())

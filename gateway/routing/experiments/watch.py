"""Guardrails and stop rules while traffic runs: one process of a host looks now and then at what is recorded."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gateway.core import private_file
from gateway.core.errors import GatewayError
from gateway.routing.experiments.evidence import ExperimentEvidence, evidence
from gateway.routing.experiments.experiment import Experiment
from gateway.routing.experiments.journal import Journal
from gateway.routing.experiments.state import Event, State, state_of
from gateway.storage.protocol import RecordArchive

log = logging.getLogger("thinkgate")

# Seconds between two looks; longer where one takes long, so that looking takes at most a twentieth of a core.
LOOK_EVERY_S, LEAST_REST = 2.0, 20.0
BY_GUARDRAIL, BY_STOP_RULE = "guardrail", "stop rule"


class ExperimentWatch:
    """Looks in a thread of its own, between `start` and `stop`, while this process is the one that does."""

    def __init__(self, journal: Journal, archive: Callable[[], RecordArchive], every_s: float = LOOK_EVERY_S) -> None:
        self._journal = journal
        self._archive = archive
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, experiments: Iterable[Experiment]) -> None:
        watched = [one for one in experiments if one.settings.guardrails or one.settings.stop is not None]
        if watched:
            self._thread = threading.Thread(target=self._run, args=(watched,), name="experiments", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def look(self, experiment: Experiment) -> None:
        """Stop the arms that a guardrail is about, and the experiment if it has seen enough.

        RecordsUnavailable, OSError: what is recorded, or what happens to experiments, is out of reach.
        """
        events = self._journal.events()
        state = state_of(experiment, events)
        if not state.running or len(state.shares(experiment.default)) < 2:
            return
        found = evidence(experiment, events, self._archive().of_experiment(experiment.name, state.since))
        told = found.report(experiment.name)
        changes = [*_breaches(experiment, state, told), *_end(experiment, found, told)]
        if not changes:
            return
        with self._journal.writing() as write:
            if state_of(experiment, self._journal.events()) != state:
                return  # somebody has changed it meanwhile: the next look is at that
            for event in changes:
                write(event)
        for event in changes:
            log.warning("experiment %s: %s", experiment.name, event.why)

    def _run(self, watched: list[Experiment]) -> None:
        path = self._journal.path.with_name(f"{self._journal.path.name}.watch")
        private_file.make_folder(path.parent)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, private_file.FILE_MODE)
        rest_s = self._every_s
        try:
            while not self._stopping.wait(rest_s):
                began = time.monotonic()
                if _is_ours(lock):
                    self._look_at_all(watched)
                rest_s = max(self._every_s, LEAST_REST * (time.monotonic() - began))
        finally:
            os.close(lock)

    def _look_at_all(self, watched: list[Experiment]) -> None:
        for experiment in watched:
            try:
                self.look(experiment)
            except (GatewayError, OSError, ValueError) as error:
                log.error("experiment %s cannot be watched: %s", experiment.name, error)


def _is_ours(lock: int) -> bool:
    """Whether this process is the one that looks: from the first time on until it ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _breaches(experiment: Experiment, state: State, told: dict[str, Any]) -> Iterator[Event]:
    by = {(one["arm"], one["metric"]): one for one in told["differences"]}
    stopped = {*state.stopped}
    for breach in told["guardrails"]:
        arm, metric, margin = breach["arm"], breach["metric"], breach["margin"]
        if arm in stopped:
            continue
        stopped.add(arm)
        estimate = by[arm, metric]["estimate"]
        why = (
            f"arm {arm} gets no more units: its {metric} is worse than that of {experiment.default} by more than "
            f"{margin:g} (difference {estimate:+.4g})"
        )
        yield Event(time.time(), experiment.name, "arm_stopped", BY_GUARDRAIL, arm=arm, why=why)


def _end(experiment: Experiment, found: ExperimentEvidence, told: dict[str, Any]) -> Iterator[Event]:
    """At most one event: the stop rule has come true."""
    rule = experiment.settings.stop
    if rule is None:
        return
    units, reason = sum(arm["units"] for arm in told["arms"]), told["stop"]["reason"]
    met = {
        f"{found.design.primary} is decided": rule.decided and reason == "decided",
        f"{found.design.primary} is known to within {rule.width}": reason == "width",
        f"it has had {units} units": rule.max_units is not None and units >= rule.max_units,
    }
    for what, true in met.items():
        if true:
            why = f"stopped, as {what}: all units go to {experiment.default}"
            yield Event(time.time(), experiment.name, "stopped", BY_STOP_RULE, running=False, why=why)
            return

"""Has the other arms of an experiment answer what a client has asked, once the client has its own answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.stopping import Stopping
from gateway.execution.recorder import Recorder
from gateway.execution.request_facts import RequestFacts
from gateway.execution.spare_places import NoSparePlace
from gateway.observability.metrics import Metrics
from gateway.paired.counts import PairedCounts
from gateway.paired.eligibility import is_sampled, obstacle
from gateway.paired.ledger import PairedLedger
from gateway.paired.repeats import Repeats
from gateway.pipeline import Pipeline
from gateway.routing.experiments.experiment import Experiment
from gateway.routing.experiments.given_arm import GivenArm
from gateway.routing.experiments.running import Experiments
from gateway.storage.refusals import Refusals

log = logging.getLogger("thinkgate")


class Sample(NamedTuple):
    """A request that was drawn: `facts` and `call` are the client's, `arm` is the one that answered it."""

    experiment: Experiment
    facts: RequestFacts
    call: Call
    arm: str


class PairedRuns:
    """Those of one application. `pipeline` is the clients' own: the same path, with the arm given, not assigned."""

    def __init__(
        self,
        pipeline: Pipeline,
        experiments: Experiments,
        ledger: PairedLedger,
        metrics: Metrics,
        stopping: Stopping,
    ) -> None:
        self._decider = pipeline.decider
        self._experiments = experiments
        self._ledger = ledger
        self._metrics = metrics.paired
        self._stopping = stopping
        accounting = replace(
            pipeline.accounting,
            metrics=PairedCounts(metrics.lost, metrics.paired.finished),
            observe=ledger.observe,
            signals=None,  # the client's own answer is what its conversation goes on from
            refusals=Refusals(),
        )
        self._repeats = Repeats(pipeline, accounting)

    def offer(self, recorder: Recorder) -> None:
        """A client's request has ended, whatever became of it. Returns at once."""
        sample = self._sampled(recorder)
        if sample is None:
            return
        name, limits = sample.experiment.name, sample.experiment.settings.paired
        why = "stopping" if self._stopping.begun else obstacle(recorder, sample.call)
        if why is None and limits is not None:
            why = self._ledger.begin(name, limits)
        if why is not None:
            self._metrics.skipped(name, why)
            return
        self._repeats.start(self._run(sample), f"paired with {sample.facts.id}")

    async def close(self) -> None:
        await self._repeats.close()

    def _sampled(self, recorder: Recorder) -> Sample | None:
        """None: it is in no experiment with pairs, or was not drawn."""
        assignment, call = recorder.assignment, recorder.call
        if assignment is None or assignment.experiment is None or call is None:
            return None
        catalogue = self._decider.catalogue
        experiment = catalogue.find(call.model).experiment if call.model in catalogue else None
        if experiment is None or experiment.settings.paired is None:
            return None
        if not is_sampled(experiment.salt, recorder.facts.id, experiment.settings.paired.share):
            return None
        return Sample(experiment, recorder.facts, call, assignment.arm.name)

    async def _run(self, sample: Sample) -> None:
        try:
            for arm in self._others(sample):
                decider = replace(self._decider, experiments=GivenArm(arm, sample.experiment.name))
                await self._repeats.answer(sample.facts, sample.call, decider)
        except NoSparePlace:
            self._metrics.skipped(sample.experiment.name, "busy")
        except Exception:
            log.exception("no other arm could answer request %s", sample.facts.request_id)
        finally:
            self._ledger.end(sample.experiment.name)

    def _others(self, sample: Sample) -> Iterator[Arm]:
        """Arms that get no units now answer nothing, either."""
        experiment = sample.experiment
        shares = self._experiments.state(experiment).shares(experiment.default)
        return (arm for arm in experiment.arms if arm.name != sample.arm and arm.name in shares)

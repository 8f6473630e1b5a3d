"""Has the other arms of an experiment answer what a client has asked, once the client has its own answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from gateway.auth.unmetered import Unmetered
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.stopping import Stopping
from gateway.execution.recorder import Recorder
from gateway.execution.request_facts import RequestFacts
from gateway.execution.spare_places import NoSparePlace, SparePlaces
from gateway.observability.metrics import Metrics
from gateway.paired.counts import PairedCounts
from gateway.paired.eligibility import is_sampled, obstacle
from gateway.paired.ledger import PairedLedger
from gateway.paired.unread_answer import UnreadAnswer
from gateway.pipeline import Pipeline
from gateway.routing.experiments.experiment import Experiment
from gateway.routing.experiments.given_arm import GivenArm
from gateway.routing.experiments.running import Experiments
from gateway.storage.refusals import Refusals

log = logging.getLogger("thinkgate")
REQUEST_ID = "x-request-id"


class Sample(NamedTuple):
    """A request that was drawn: `facts` and `call` are the client's, `arm` is the one that answered it."""

    experiment: Experiment
    facts: RequestFacts
    call: Call
    arm: str


class PairedRuns:
    """Those of one application. `pipeline` is the clients' own: the same path, with the arm given instead of assigned.

    Such an answer takes a place only where no client needs one, and gives way to the first client who does. It is
    charged to nobody, teaches price setters nothing, and is stored nowhere but in its record.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        experiments: Experiments,
        ledger: PairedLedger,
        metrics: Metrics,
        stopping: Stopping,
    ) -> None:
        self._pipeline = pipeline
        self._experiments = experiments
        self._ledger = ledger
        self._metrics = metrics.paired
        self._stopping = stopping
        self._accounting = replace(
            pipeline.accounting,
            metrics=PairedCounts(metrics),
            observe=ledger.observe,
            signals=None,  # the client's own answer is what its conversation goes on from
            refusals=Refusals(),
        )
        self._tasks: set[asyncio.Task[None]] = set()

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
        task = asyncio.get_running_loop().create_task(self._run(sample), name=f"paired with {sample.facts.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cut short what still runs: it is recorded as that."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _sampled(self, recorder: Recorder) -> Sample | None:
        """None: it is in no experiment with pairs, or was not drawn."""
        assignment, call = recorder.assignment, recorder.call
        if assignment is None or assignment.experiment is None or call is None:
            return None
        catalogue = self._pipeline.decider.catalogue
        experiment = catalogue.find(call.model).experiment if call.model in catalogue else None
        if experiment is None or experiment.settings.paired is None:
            return None
        if not is_sampled(experiment.salt, recorder.facts.id, experiment.settings.paired.share):
            return None
        return Sample(experiment, recorder.facts, call, assignment.arm.name)

    async def _run(self, sample: Sample) -> None:
        try:
            for arm in self._others(sample):
                await self._answer(sample, arm)
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

    async def _answer(self, sample: Sample, arm: Arm) -> None:
        """One answer, with its record. NoSparePlace: there is neither."""
        pipeline, principal = self._with(sample, arm), Unmetered(sample.facts.principal)
        recorder = pipeline.begin(sample.facts.dialect, None, principal, sample.facts.id)
        recorder.client_cancels()
        call = _again(sample.call, recorder.facts)
        try:
            answer = await pipeline.answer(recorder, call, lambda view: UnreadAnswer())
            if answer.rest is not None:
                async with aclosing(answer.rest) as rest:
                    async for _ in rest:
                        pass
        except NoSparePlace:
            raise
        except asyncio.CancelledError:
            self._accounting.hang_up(recorder)
            raise
        except Exception as error:
            self._accounting.fail(recorder, error)

    def _with(self, sample: Sample, arm: Arm) -> Pipeline:
        """The pipeline that gives this arm, and takes spare places only, which this task gives back when it must."""
        task = asyncio.current_task()
        assert task is not None, "it runs in a task of its own"

        def give_way() -> None:
            task.cancel()

        spare = partial(SparePlaces, give_way=give_way)
        pipeline = self._pipeline
        dispatch = pipeline.dispatch.within({name: spare(one) for name, one in pipeline.dispatch.admission.items()})
        prober = pipeline.prober.within(dispatch)
        decider = replace(pipeline.decider, experiments=GivenArm(arm, sample.experiment.name), prober=prober)
        return replace(pipeline, decider=decider, dispatch=dispatch, prober=prober, accounting=self._accounting)


def _again(call: Call, facts: RequestFacts) -> Call:
    """The same request under ids of its own: engines confuse requests with the same id."""
    forwarded = {**call.forwarded, **({REQUEST_ID: facts.backend_id} if REQUEST_ID in call.forwarded else {})}
    return replace(call, request_id=facts.request_id, forwarded=forwarded, answer_id=None, wants_effort_report=False)

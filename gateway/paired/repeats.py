"""Answers requests of clients again in the background, on places that no client needs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial

from gateway.auth.unmetered import Unmetered
from gateway.core.call import Call
from gateway.execution.accounting import Accounting
from gateway.execution.recorder import Recorder
from gateway.execution.request_facts import RequestFacts
from gateway.execution.spare_places import NoSparePlace, SparePlaces
from gateway.paired.unread_answer import UnreadAnswer
from gateway.pipeline import Pipeline
from gateway.routing.decider import Decider

REQUEST_ID = "x-request-id"


@dataclass(frozen=True, slots=True)
class Repeats:
    """`pipeline` is the clients' own, with an `accounting` of the repeated answers.

    Such an answer takes a place only where no client needs one, and gives way to the first client who does. It is
    charged to nobody, teaches price setters nothing, and is stored nowhere but in its record.
    """

    pipeline: Pipeline
    accounting: Accounting
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run this in a task of its own, in which answers may give way."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cut short what still runs: it is recorded as that."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def answer(self, facts: RequestFacts, call: Call, decider: Decider, texts: bool = False) -> Recorder:
        """One answer, with its record, in a task that `start` has begun; what became of it is in the recorder.

        `facts` are those of the client's request, and `decider` says where the call goes. `texts`: the answer's text is
        collected. NoSparePlace: there is neither an answer nor a record. CancelledError: a client needed the place.
        """
        pipeline = self._spare(decider, texts)
        recorder = pipeline.begin(facts.dialect, None, Unmetered(facts.principal), facts)
        recorder.client_cancels()
        try:
            answer = await pipeline.answer(recorder, _again(call, recorder.facts), lambda view: UnreadAnswer())
            if answer.rest is not None:
                async with aclosing(answer.rest) as rest:
                    async for _ in rest:
                        pass
        except NoSparePlace:
            raise
        except asyncio.CancelledError:
            self.accounting.hang_up(recorder)
            raise
        except Exception as error:
            self.accounting.fail(recorder, error)
        return recorder

    def _spare(self, decider: Decider, texts: bool) -> Pipeline:
        """The pipeline that takes spare places only, which this task gives back when it must."""
        task = asyncio.current_task()
        assert task is not None, "it runs in a task of its own"

        def give_way() -> None:
            task.cancel()

        spare = partial(SparePlaces, give_way=give_way)
        pipeline = self.pipeline
        dispatch = pipeline.dispatch.within({name: spare(one) for name, one in pipeline.dispatch.admission.items()})
        prober = pipeline.prober.within(dispatch)
        decider = replace(decider, prober=prober)
        return replace(
            pipeline,
            decider=decider,
            dispatch=dispatch,
            prober=prober,
            accounting=self.accounting,
            collects=lambda id: texts,
        )


def _again(call: Call, facts: RequestFacts) -> Call:
    """The same request under ids of its own: engines confuse requests with the same id."""
    forwarded = {**call.forwarded, **({REQUEST_ID: facts.backend_id} if REQUEST_ID in call.forwarded else {})}
    return replace(call, request_id=facts.request_id, forwarded=forwarded, answer_id=None, wants_effort_report=False)

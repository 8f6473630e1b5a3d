"""A request that a client has its answer to, and that is answered again to learn from."""

from __future__ import annotations

from typing import NamedTuple

from gateway.core.answer import AnswerContent
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.efforts import Effort
from gateway.execution.recorder import Recorder
from gateway.execution.request_facts import RequestFacts
from gateway.storage.protocol import RecordIdentity


class ShadowPair(NamedTuple):
    """`facts`, `call` and `arm` are those of the client's request, `answer` is what it got, at the `applied` effort.
    It is answered again at `effort`: the `same_effort`, or one at the other end of the ladder.
    """

    facts: RequestFacts
    call: Call
    arm: Arm
    answer: AnswerContent
    applied: str | None
    effort: Effort
    same_effort: bool
    user: str | None
    unit: str | None

    @classmethod
    def of(cls, recorder: Recorder, call: Call, effort: Effort, same_effort: bool) -> ShadowPair:
        """`recorder` is of a whole answer whose text was collected."""
        assignment, collector, plan = recorder.assignment, recorder.collector, recorder.plan
        assert assignment is not None and collector is not None and plan is not None, "it was answered"
        answer = collector.answer(recorder.finish_reason)
        user, unit = assignment.user, assignment.unit
        return cls(recorder.facts, call, assignment.arm, answer, plan.words, effort, same_effort, user, unit)

    @property
    def identity(self) -> RecordIdentity:
        """Of the client's record."""
        return RecordIdentity(self.facts.id, self.facts.principal.key, self.user, self.unit, self.facts.at)

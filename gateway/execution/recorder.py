"""What happens to one request, gathered for its record, its headers and its account."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from gateway.backends.reply import EnforcedBudget
from gateway.core import efforts
from gateway.core.assignment import Assignment
from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.efforts import Effort
from gateway.core.errors import GatewayError
from gateway.core.forecast import EffortForecast
from gateway.core.plan import Plan
from gateway.core.planned import Planned
from gateway.core.usage import Usage
from gateway.execution.answer_collector import AnswerCollector
from gateway.execution.outcome import Outcome
from gateway.execution.place import Place
from gateway.execution.probe.pending import PendingProbe
from gateway.execution.probe.result import ProbeResult
from gateway.execution.request_facts import RequestFacts
from gateway.execution.streaming.output_stats import OutputStats

HUNG_UP = 499


class AnswerCounts(Protocol):
    """What has been heard of an answer so far. By the monotonic clock, `first_token` is when that came, of a stream,
    and `first_answer` when the first token after the reasoning did; an answer that is not streamed comes all at once.
    """

    @property
    def usage(self) -> Usage: ...
    @property
    def first_token(self) -> float | None: ...
    @property
    def first_answer(self) -> float | None: ...
    @property
    def answer_id(self) -> str | None:
        """The backend's id for its answer."""
        ...


class WholeAnswer(NamedTuple):
    """An answer that came at once."""

    usage: Usage = Usage()
    first_token: float | None = None
    first_answer: float | None = None
    answer_id: str | None = None


NO_COUNTS: AnswerCounts = WholeAnswer()
NOTHING_SEEN = OutputStats()


class Recorder:
    """Told of each step of a request by the pipeline, and by nobody else: all else reads.

    A step that was not reached leaves its facts None. `model` is the one that was named, `planned` what is sent, within
    what the sender may have; `enforced` is what it took to keep the budget here, `decision_s` how many seconds it took
    to decide, `status` the one that the client got, or of the error that its stream ended in, or 499 for a client that
    hung up.
    """

    __slots__ = (
        "answering",
        "assignment",
        "baseline",
        "broke_off",
        "call",
        "client_gone",
        "client_may_cancel",
        "closed",
        "collector",
        "counts",
        "decision",
        "decision_s",
        "enforced",
        "error",
        "facts",
        "finish_reason",
        "level_of",
        "model",
        "outcome",
        "pending_probe",
        "place",
        "plan",
        "planned",
        "router",
        "seen",
    )

    def __init__(self, facts: RequestFacts) -> None:
        self.facts = facts
        self.model: str | None = None
        self.call: Call | None = None
        self.assignment: Assignment | None = None
        self.level_of: Callable[[Effort], str] = efforts.level_of
        self.router: str | None = None
        self.baseline: EffortForecast | None = None
        self.decision: Decision | None = None
        self.decision_s: float | None = None
        self.planned: Planned | None = None
        self.plan: Plan | None = None
        self.place: Place | None = None
        self.pending_probe: PendingProbe | None = None
        self.outcome: Outcome | None = None
        self.seen = NOTHING_SEEN
        self.enforced: EnforcedBudget | None = None
        self.counts = NO_COUNTS
        self.collector: AnswerCollector | None = None
        self.finish_reason: str | None = None
        self.error: GatewayError | None = None
        self.answering = self.broke_off = self.client_gone = self.closed = False
        # Under other servers, and without one, whoever cancels the task is the client; under our own it stops.
        self.client_may_cancel = False

    def names(self, model: str | None) -> None:
        self.model = model

    def parsed(self, call: Call) -> None:
        self.call, self.model = call, call.model

    def assigned(self, assignment: Assignment, level_of: Callable[[Effort], str]) -> None:
        """`level_of` names an effort by the levels of the model."""
        self.assignment, self.level_of = assignment, level_of

    def collects(self, collector: AnswerCollector) -> None:
        """Verifiers will read the answer."""
        self.collector = collector

    def routed(self, version: str) -> None:
        """A forecast is asked for of the effort router of this version."""
        self.router = version

    def compares_with(self, baseline: EffortForecast | None) -> None:
        """What the default arm of its experiment was forecast to bring."""
        self.baseline = baseline

    def decided(self, decision: Decision) -> None:
        self.decision = decision

    def took(self, seconds: float) -> None:
        """To decide, this time."""
        self.decision_s = (self.decision_s or 0.0) + seconds

    def will_send(self, planned: Planned) -> None:
        """What is set aside for it is set aside. The last one is the one that was sent."""
        self.planned, self.plan = planned, planned.plan

    def dispatched(self, place: Place) -> None:
        self.place = place

    def probing(self, probe: PendingProbe) -> None:
        self.pending_probe = probe

    def executed(self, outcome: Outcome) -> None:
        self.outcome, self.seen, self.enforced = outcome, outcome.seen, outcome.reply.enforced

    def reading(self, answer: AnswerCounts) -> None:
        """The answer is being read."""
        self.counts = answer

    def answers(self) -> None:
        """The answer has begun: from now on, errors are reported inside it."""
        self.answering = True

    def finished(self, reason: str | None) -> None:
        """The answer is complete."""
        self.finish_reason = reason

    def failed(self, error: GatewayError) -> None:
        self.error, self.broke_off = error, True

    def client_cancels(self) -> None:
        self.client_may_cancel = True

    def client_left(self) -> None:
        self.client_gone = self.broke_off = True

    def close(self) -> bool:
        """Whether this is the first call; the record is about to be made, and nothing is recorded after it."""
        first, self.closed = not self.closed, True
        # What hears the answer tells it to an encoder, which has a view of this: the cycle is broken here.
        if type(self.counts) is not WholeAnswer:
            self.counts = WholeAnswer(*(getattr(self.counts, name) for name in WholeAnswer._fields))
        return first

    @property
    def status(self) -> int:
        if self.error is not None:
            return self.error.status
        return HUNG_UP if self.client_gone else 200

    @property
    def probe(self) -> ProbeResult | None:
        return self.pending_probe.result if self.pending_probe is not None else None

"""The path of one request: assign, decide, compile, execute, encode. This file orchestrates, no more."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from gateway.auth.principal import Principal
from gateway.backends.reply import Reply
from gateway.core.call import Call
from gateway.core.efforts import Effort
from gateway.core.forecast import Forecast, ProbePath
from gateway.core.plan import Plan
from gateway.core.planned import Planned
from gateway.execution import relay
from gateway.execution.accounting import Accounting
from gateway.execution.answer_collector import AnswerCollector
from gateway.execution.dispatch import Dispatch
from gateway.execution.ids import Ids
from gateway.execution.outcome import Outcome, stats_for
from gateway.execution.place import Place
from gateway.execution.probe.pending import PendingProbe
from gateway.execution.probe.prober import Prober, second
from gateway.execution.recorder import Recorder
from gateway.execution.report import AnswerReport, AnswerView
from gateway.execution.request_facts import RequestFacts
from gateway.execution.streaming.encoder import ResponseEncoder
from gateway.families.passthrough import pass_on
from gateway.routing.decider import Decider, Routed

MakeEncoder = Callable[[AnswerView], ResponseEncoder]


class Answer(NamedTuple):
    """What the client gets: all of it in `first`, or the first events of a stream and the `rest`."""

    first: bytes
    rest: AsyncGenerator[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`collects` says of which requests, by the gateway's own ids, the answer's text is wanted, verifiers apart."""

    decider: Decider
    dispatch: Dispatch
    prober: Prober
    accounting: Accounting
    ids: Ids
    collects: Callable[[str], bool] = lambda id: False

    def begin(
        self, dialect: str, given_id: str | None, principal: Principal, again: RequestFacts | None = None
    ) -> Recorder:
        """Every request that begins must be accounted for. `given_id` is the client's own id for it.

        `again` are the facts of the client's request that it answers again: its record has the time of that one, so
        that what erases the one erases the other.
        """
        self.accounting.metrics.began()
        id = self.ids.new()
        named = given_id or f"req-{id}"
        at, paired_with = (time.time(), None) if again is None else (again.at, again.id)
        return Recorder(RequestFacts(id, named, dialect, principal, at, time.perf_counter(), paired_with))

    async def answer(self, recorder: Recorder, call: Call, make_encoder: MakeEncoder) -> Answer:
        """The backend's answer, with its status and first bytes already seen. Raises GatewayError before that."""
        recorder.parsed(call)
        with self.dispatch.place(call) as place:
            recorder.dispatched(place)
            outcome = await self._execute(recorder, place, call)
            recorder.executed(outcome)
            encoder = make_encoder(AnswerReport(recorder, outcome))
            if call.stream:
                events = relay.streamed(place, outcome, encoder, recorder, self.accounting)
                answer = Answer(await anext(events), events)
            else:
                answer = Answer(await relay.whole(outcome, encoder, recorder, self.accounting))
            recorder.answers()
            return answer

    async def _execute(self, recorder: Recorder, place: Place, call: Call) -> Outcome:
        routed = self._assign(recorder, call)
        decide = self._pass_on if call.passthrough is not None else self._decide
        routed, planned = await decide(recorder, routed)
        decision, reply = planned.decision, None
        if decision is not None and decision.probe_options is not None and decision.forecast is not None:
            probe = self.prober.ask(place, planned.call, planned.plan, decision.probe_options, decision.forecast)
            path = ProbePath(decision.factors, decision.reason == "explore")
            planned, reply = await self._hear(recorder, routed, probe, path)
        plan = planned.plan
        if reply is None:
            # As it is bounded: who stands in may do no more for the key.
            replanned = partial(self._replan, recorder, planned)
            plan, reply = await self.dispatch.send(place, planned.call, plan, routed.model.terms, replanned)
        return Outcome(planned.call, plan, reply, recorder.probe, stats_for(planned.call, plan))

    def _assign(self, recorder: Recorder, call: Call) -> Routed:
        routed = self.decider.route(call, recorder.facts.principal, recorder.facts.id)
        recorder.assigned(routed.assignment, routed.model.level_of)
        if call.passthrough is None and (routed.model.verifiers or self.collects(recorder.facts.id)):
            recorder.collects(AnswerCollector(routed.model.verifiers))
        return routed

    async def _pass_on(self, recorder: Recorder, routed: Routed) -> tuple[Routed, Planned]:
        """Nothing is decided, yet it is bounded and paid for."""
        principal = recorder.facts.principal

        def choose(within: Effort | None) -> Planned:
            bounded = principal.bound(routed.call, routed.model.levels, routed.arm)
            return Planned(bounded, pass_on(bounded, routed.arm))

        planned = await principal.reserve(choose)
        recorder.will_send(planned)
        return routed, planned

    async def _decide(self, recorder: Recorder, routed: Routed) -> tuple[Routed, Planned]:
        begun = time.perf_counter()
        recorder.routed(routed.model.router.version)
        forecast = await self.decider.forecast(routed)
        recorder.compares_with(await self.decider.baseline(routed, forecast))
        self.decider.learn(routed.call)
        routed = self.decider.priced(routed)
        return routed, await self._reserve(recorder, routed, forecast, begun)

    async def _hear(
        self, recorder: Recorder, routed: Routed, probe: PendingProbe, path: ProbePath
    ) -> tuple[Planned, Reply | None]:
        """The decision after a probe, and its reply, if that is the answer. `path` is what led to the probe."""
        recorder.probing(probe)
        with probe:
            heard = await probe.listen()
            begun = time.perf_counter()
            forecast = self.decider.reconsider(routed, probe.result.before, heard, path)
            planned = await self._reserve(recorder, routed, forecast, begun)
            reply = await probe.conclude(planned.plan)
        return (planned if reply is not None else planned._replace(call=second(planned.call))), reply

    async def _reserve(self, recorder: Recorder, routed: Routed, forecast: Forecast | None, begun: float) -> Planned:
        """What to send, within what the sender's quotas leave, reserved before anything is sent."""
        principal = recorder.facts.principal
        waited_s = principal.waited_s
        planned = await principal.reserve(partial(self._choose, recorder, routed, forecast))
        recorder.will_send(planned)
        if planned.decision is not None:
            routed.model.decided(routed.context, planned.decision)
        recorder.took(time.perf_counter() - begun - (principal.waited_s - waited_s))
        return planned

    def _choose(self, recorder: Recorder, routed: Routed, forecast: Forecast | None, within: Effort | None) -> Planned:
        bounded, decision = self.decider.decide(recorder.facts.principal, routed, forecast)
        recorder.decided(decision)
        return self.decider.plan(routed, bounded, decision, forecast, within)

    def _replan(self, recorder: Recorder, before: Planned, plan: Plan) -> None:
        planned = before._replace(plan=plan)
        recorder.will_send(planned)
        recorder.facts.principal.exchange(planned)

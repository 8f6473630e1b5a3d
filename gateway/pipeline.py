"""The path of one request: assign an arm, forecast, decide, compile, send, record. This file orchestrates, no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from gateway.auth.principal import Principal
from gateway.backends.capabilities import Capabilities
from gateway.backends.chat_answer import dumped, read_answer, read_usage
from gateway.backends.reply import Reply
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, UNLIMITED
from gateway.core.errors import GatewayError, InternalError, ShuttingDown
from gateway.core.forecast import Forecast
from gateway.core.load import IDLE, Load, Pressure
from gateway.core.plan import Plan
from gateway.core.probe import Probe
from gateway.core.unit import among_keys, unit_hash
from gateway.execution.context import Ids, RequestContext, log_failure
from gateway.execution.dispatch import Dispatch
from gateway.execution.probe.prober import Prober, second
from gateway.execution.streaming.believed import correct
from gateway.execution.streaming.chat_stream import ChatStream
from gateway.execution.streaming.probe_usage import WithProbeUsage, add_probe_usage
from gateway.families.compiler import compile_plan
from gateway.families.passthrough import pass_on
from gateway.observability.metrics import Metrics
from gateway.routing.catalogue import Catalogue, PublicModel
from gateway.routing.experiments import assignment
from gateway.storage.records import Records
from gateway.storage.refusals import Refusals

HUNG_UP = 499


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client gets: all of it in `first`, or the first events of a stream and the `rest`."""

    first: bytes
    rest: AsyncGenerator[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    catalogue: Catalogue
    dispatch: Dispatch
    records: Records
    metrics: Metrics
    router_deadline_s: float
    capabilities: Capabilities
    prober: Prober
    ids: Ids
    refusals: Refusals = field(default_factory=Refusals)

    def begin(self, dialect: str, given_id: str | None, principal: Principal) -> RequestContext:
        """Every exchange that begins must end in `close`, `fail` or `hang_up`: that is its one record.

        `given_id` is the client's own id for the request.
        """
        self.metrics.began()
        id = self.ids.new()
        return RequestContext(id, given_id or f"req-{id}", dialect, principal)

    async def answer(self, context: RequestContext, call: Call) -> Answer:
        """The backend's answer, with its status and first bytes already seen. Raises GatewayError before that."""
        model = self.catalogue.find(call.model)
        context.level_of = model.level_of
        unit = among_keys(call.unit, context.principal.key)
        context.arm = arm = assignment.assign(unit, model.name, model.arms)
        context.unit = unit_hash(unit)
        if call.user:
            context.user = unit_hash(among_keys(call.user, context.principal.key))
        if call.passed is not None:
            self._pass_on(context, call, model, arm)
        else:
            await self._think_over(context, call, model, arm)
        reply = await self._ask_first(context, call, model, arm)
        if reply is None:
            assert context.plan is not None, "it was decided"
            # As it is bounded: who stands in may do no more for the key.
            bounded = context.bounded or call
            sent = bounded if context.probe_result is None else second(bounded)
            reply = await self.dispatch.send(context, sent, context.plan, model.terms)
        context.answered_by(reply)
        return await (self._stream if call.stream else self._plain)(context, call, reply)

    async def _think_over(self, context: RequestContext, call: Call, model: PublicModel, arm: Arm) -> None:
        begun = time.perf_counter()
        context.router = model.router.version
        forecast = await model.forecast(call, arm, self.router_deadline_s)
        if forecast is not None and forecast.worth_asking and not self.prober.possible(call, arm, model.terms):
            forecast = forecast.unasked()
        self._decide(context, call, model, arm, forecast)
        context.decision_s = time.perf_counter() - begun

    async def _ask_first(self, context: RequestContext, call: Call, model: PublicModel, arm: Arm) -> Reply | None:
        """The reply to a probe, where one was decided on and it convinces; if it does not, thinking is decided on."""
        before = context.decision.forecast if context.decision and context.decision.probe_options else None
        if before is None:
            return None

        def decide(probe: Probe | None) -> Plan:
            begun = time.perf_counter()
            forecast = model.reconsider(call, arm, before, probe)
            plan = self._decide(context, call, model, arm, forecast)
            context.decision_s = (context.decision_s or 0.0) + time.perf_counter() - begun
            return plan

        return await self.prober.ask(context, call, decide)

    def _pass_on(self, context: RequestContext, call: Call, model: PublicModel, arm: Arm) -> None:
        """Nothing is decided, yet it is bounded and paid for."""
        context.bounded = bounded = context.principal.bound(call, model.levels, arm)
        plan = pass_on(bounded, arm)
        context.principal.take(bounded, plan)
        context.plan = plan

    def _decide(
        self, context: RequestContext, call: Call, model: PublicModel, arm: Arm, forecast: Forecast | None
    ) -> Plan:
        """What to send, within what the visitor may and still has: that is set aside before anything is sent."""
        while True:
            context.bounded = bounded = context.principal.bound(call, model.levels, arm)
            context.decision = decision = model.policy.decide(bounded, forecast, self._load(arm))
            plan = compile_plan(bounded, decision.effort, arm, model.terms, forecast, self.capabilities.enforcement)
            if context.principal.take(bounded, plan):
                context.plan = plan
                return plan

    async def _plain(self, context: RequestContext, call: Call, reply: Reply) -> Answer:
        try:
            raw = await reply.read()
        finally:
            reply.close()
        body, context.usage, context.finish_reason = read_answer(raw, call.passed.holds if call.passed else "choices")
        assert context.encoder is not None, "who reads a call brings its encoder"
        changed = _comes_by(call) and self._looked_at(context, body)
        if context.discarded_tokens:
            changed = add_probe_usage(body, context.discarded_tokens) or changed
        if changed:
            raw = dumped(body)
        told = await context.encoder.whole(body, raw)
        self.close(context)
        return Answer(told)

    def _looked_at(self, context: RequestContext, body: dict[str, Any]) -> bool:
        """Take note of a whole answer; whether it had to be changed."""
        changed = context.seen.whole(body)
        usage = body.get("usage")
        if isinstance(usage, dict) and correct(usage, context.seen):
            context.usage, changed = read_usage(usage), True
        if context.cut(body):
            context.finish_reason, changed = "length", True
        return changed

    async def _stream(self, context: RequestContext, call: Call, reply: Reply) -> Answer:
        events = self._events(context, call, reply)
        return Answer(await anext(events), events)

    async def _events(self, context: RequestContext, call: Call, reply: Reply) -> AsyncGenerator[bytes]:
        """The stream as the client sees it. An error before the first event is raised, a later one is told in it."""
        encoder, plan = context.encoder, context.plan
        assert encoder is not None and plan is not None, "both are there before there is a reply"
        sink = WithProbeUsage(encoder, context.discarded_tokens) if context.discarded_tokens else encoder
        seen = context.seen if _comes_by(call) else None
        stream = ChatStream(sink, plan.deployment.max_event_bytes, seen, context.most_unasked, call.choices)
        chunks = reply.chunks()
        begun = False
        try:
            async for chunk in chunks:
                events = stream.feed(chunk)
                if context.first_token is None and stream.saw_token:
                    context.first_token = time.perf_counter()
                if events:
                    begun = True
                    yield events
                if stream.ended:
                    break
            stream.finish()
            context.usage, context.finish_reason = stream.usage, stream.finish_reason
            end = await encoder.end()
            self.close(context)
            yield end
            await reply.drain(chunks)
        except (Exception, asyncio.CancelledError) as error:
            context.usage = stream.usage
            if not begun or context.client_gone:
                raise
            yield encoder.broken(self.fail(context, error))
        finally:
            if not context.closed:  # the client left while something was on its way to it
                context.usage = stream.usage
            reply.close()

    def fail(self, context: RequestContext, error: Exception | asyncio.CancelledError) -> GatewayError:
        """End an exchange with an error; returns the one that the client may see."""
        if isinstance(error, asyncio.CancelledError):
            error = ShuttingDown()
        seen = error if isinstance(error, GatewayError) else InternalError()
        context.error, context.status = seen, seen.status
        log_failure(context, error)
        self.close(context)
        _forget_frames(error)
        return seen

    def hang_up(self, context: RequestContext) -> None:
        """End an exchange whose client has gone; one that was complete already stays so."""
        if not context.closed:
            context.client_gone, context.status = True, HUNG_UP
            self.close(context)

    def close(self, context: RequestContext) -> None:
        """Write the one record; called before the last byte goes to the client, and never twice to any effect."""
        if context.closed:
            return
        context.closed = True
        context.settle()
        record = context.record()
        if self.refusals.kept(record):
            self.records.write(record)
        self.metrics.finished(record)
        if record.deployment is not None and record.verdict is not None and not context.kept_here:
            self.capabilities.answered(record.deployment, record.exceeded or 0)
        if self.records.lost:
            self.metrics.lost.set(self.records.lost)
        context.leave(context.measured())
        context.encoder = None  # breaks the reference cycle between the two

    def _load(self, arm: Arm) -> Load:
        return Load(self._pressure(arm.find(NO_THINKING)), self._pressure(arm.find(UNLIMITED)))

    def _pressure(self, deployment: Deployment | None) -> Pressure:
        return IDLE if deployment is None else self.dispatch.admission[deployment.name].pressure()


def _comes_by(call: Call) -> bool:
    """Whether what comes by is written by the model: no vectors, and no prompt that comes back with its completion."""
    return call.passed is None or (call.passed.holds == "choices" and not call.echoes)


def _forget_frames(error: BaseException | None) -> None:
    """What is in the frames that an error came through, such as a large body, is not to wait for the garbage collector:
    the exchange has the error, and the frames have the exchange.
    """
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__

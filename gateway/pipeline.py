"""The path of one request: assign an arm, forecast, decide, compile, send, record. This file orchestrates, no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from gateway import effort_router
from gateway.abilities import Abilities
from gateway.access.visitor import Visitor
from gateway.answers.believed import correct
from gateway.answers.charged import Charged, charge
from gateway.answers.chat_answer import dumped, read_answer, read_usage
from gateway.answers.chat_stream import ChatStream
from gateway.backends.reply import Reply
from gateway.catalogue import Catalogue, Model
from gateway.dispatch import Dispatch
from gateway.errors import GatewayError, InternalError, ShuttingDown
from gateway.exchange import Exchange, Ids, log_failure
from gateway.experiments import assignment
from gateway.families.compiler import compile_plan
from gateway.families.passing import pass_on
from gateway.metrics import Metrics
from gateway.probes.prober import Prober, second
from gateway.records import Records
from gateway.refusals import Refusals
from gateway.types import IDLE, Arm, Call, Deployment, Forecast, Load, Plan, Pressure, Probe

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
    abilities: Abilities
    prober: Prober
    ids: Ids
    refusals: Refusals = field(default_factory=Refusals)

    def begin(self, dialect: str, given_id: str | None, visitor: Visitor) -> Exchange:
        """Every exchange that begins must end in `close`, `fail` or `hang_up`: that is its one record.

        `given_id` is the client's own id for the request.
        """
        self.metrics.began()
        id = self.ids.new()
        return Exchange(id, given_id or f"req-{id}", dialect, visitor)

    async def answer(self, exchange: Exchange, call: Call) -> Answer:
        """The backend's answer, with its status and first bytes already seen. Raises GatewayError before that."""
        model = self.catalogue.find(call.model)
        exchange.level_of = model.level_of
        unit = assignment.among_keys(call.unit, exchange.visitor.key)
        exchange.arm = arm = assignment.assign(unit, model.name, model.arms)
        exchange.unit = assignment.unit_hash(unit)
        if call.user:
            exchange.user = assignment.unit_hash(assignment.among_keys(call.user, exchange.visitor.key))
        if call.passed is not None:
            self._pass_on(exchange, call, model, arm)
        else:
            await self._think_over(exchange, call, model, arm)
        reply = await self._ask_first(exchange, call, model, arm)
        if reply is None:
            assert exchange.plan is not None, "it was decided"
            # As it is bounded: who stands in may do no more for the key.
            bounded = exchange.bounded or call
            sent = bounded if exchange.probed is None else second(bounded)
            reply = await self.dispatch.send(exchange, sent, exchange.plan, model.terms)
        exchange.answered_by(reply)
        return await (self._stream if call.stream else self._plain)(exchange, call, reply)

    async def _think_over(self, exchange: Exchange, call: Call, model: Model, arm: Arm) -> None:
        begun = time.perf_counter()
        exchange.router = model.router.version
        wanted = model.policy.wants_forecast(call)
        forecast = await effort_router.ask(model.router, call, arm, self.router_deadline_s) if wanted else None
        if forecast is not None and forecast.worth_asking and not self.prober.possible(call, arm, model.terms):
            forecast = forecast.unasked()
        self._decide(exchange, call, model, arm, forecast)
        exchange.decision_s = time.perf_counter() - begun

    async def _ask_first(self, exchange: Exchange, call: Call, model: Model, arm: Arm) -> Reply | None:
        """The reply to a probe, where one was decided on and it convinces; if it does not, thinking is decided on."""
        before = exchange.decision.forecast if exchange.decision and exchange.decision.asks else None
        if before is None:
            return None

        def decide(probe: Probe | None) -> Plan:
            begun = time.perf_counter()
            forecast = effort_router.reconsider(model.router, call, arm, before, probe)
            plan = self._decide(exchange, call, model, arm, forecast)
            exchange.decision_s = (exchange.decision_s or 0.0) + time.perf_counter() - begun
            return plan

        return await self.prober.ask(exchange, call, decide)

    def _pass_on(self, exchange: Exchange, call: Call, model: Model, arm: Arm) -> None:
        """Nothing is decided, yet it is bounded and paid for."""
        exchange.bounded = bounded = exchange.visitor.bound(call, model.levels, arm)
        plan = pass_on(bounded, arm)
        exchange.visitor.take(bounded, plan)
        exchange.plan = plan

    def _decide(self, exchange: Exchange, call: Call, model: Model, arm: Arm, forecast: Forecast | None) -> Plan:
        """What to send, within what the visitor may and still has: that is set aside before anything is sent."""
        while True:
            exchange.bounded = bounded = exchange.visitor.bound(call, model.levels, arm)
            exchange.decision = decision = model.policy.decide(bounded, forecast, self._load(arm))
            plan = compile_plan(bounded, decision.effort, arm, model.terms, forecast, self.abilities.enforcement)
            if exchange.visitor.take(bounded, plan):
                exchange.plan = plan
                return plan

    async def _plain(self, exchange: Exchange, call: Call, reply: Reply) -> Answer:
        try:
            raw = await reply.read()
        finally:
            reply.close()
        body, exchange.usage, exchange.finish_reason = read_answer(raw, call.passed.holds if call.passed else "choices")
        assert exchange.teller is not None, "who reads a call brings its teller"
        changed = _comes_by(call) and self._looked_at(exchange, body)
        if exchange.wasted:
            changed = charge(body, exchange.wasted) or changed
        if changed:
            raw = dumped(body)
        told = await exchange.teller.whole(body, raw)
        self.close(exchange)
        return Answer(told)

    def _looked_at(self, exchange: Exchange, body: dict[str, Any]) -> bool:
        """Take note of a whole answer; whether it had to be changed."""
        changed = exchange.seen.whole(body)
        usage = body.get("usage")
        if isinstance(usage, dict) and correct(usage, exchange.seen):
            exchange.usage, changed = read_usage(usage), True
        if exchange.cut(body):
            exchange.finish_reason, changed = "length", True
        return changed

    async def _stream(self, exchange: Exchange, call: Call, reply: Reply) -> Answer:
        events = self._events(exchange, call, reply)
        return Answer(await anext(events), events)

    async def _events(self, exchange: Exchange, call: Call, reply: Reply) -> AsyncGenerator[bytes]:
        """The stream as the client sees it. An error before the first event is raised, a later one is told in it."""
        teller, plan = exchange.teller, exchange.plan
        assert teller is not None and plan is not None, "both are there before there is a reply"
        hearer = Charged(teller, exchange.wasted) if exchange.wasted else teller
        seen = exchange.seen if _comes_by(call) else None
        stream = ChatStream(hearer, plan.deployment.max_event_bytes, seen, exchange.most_unasked, call.choices)
        chunks = reply.chunks()
        begun = False
        try:
            async for chunk in chunks:
                events = stream.feed(chunk)
                if exchange.first_token is None and stream.saw_token:
                    exchange.first_token = time.perf_counter()
                if events:
                    begun = True
                    yield events
                if stream.ended:
                    break
            stream.finish()
            exchange.usage, exchange.finish_reason = stream.usage, stream.finish_reason
            end = await teller.end()
            self.close(exchange)
            yield end
            await reply.drain(chunks)
        except (Exception, asyncio.CancelledError) as error:
            exchange.usage = stream.usage
            if not begun or exchange.client_gone:
                raise
            yield teller.broken(self.fail(exchange, error))
        finally:
            if not exchange.closed:  # the client left while something was on its way to it
                exchange.usage = stream.usage
            reply.close()

    def fail(self, exchange: Exchange, error: Exception | asyncio.CancelledError) -> GatewayError:
        """End an exchange with an error; returns the one that the client may see."""
        if isinstance(error, asyncio.CancelledError):
            error = ShuttingDown()
        seen = error if isinstance(error, GatewayError) else InternalError()
        exchange.error, exchange.status = seen, seen.status
        log_failure(exchange, error)
        self.close(exchange)
        _forget_frames(error)
        return seen

    def hang_up(self, exchange: Exchange) -> None:
        """End an exchange whose client has gone; one that was complete already stays so."""
        if not exchange.closed:
            exchange.client_gone, exchange.status = True, HUNG_UP
            self.close(exchange)

    def close(self, exchange: Exchange) -> None:
        """Write the one record; called before the last byte goes to the client, and never twice to any effect."""
        if exchange.closed:
            return
        exchange.closed = True
        exchange.settle()
        record = exchange.record()
        if self.refusals.kept(record):
            self.records.write(record)
        self.metrics.finished(record)
        if record.deployment is not None and record.verdict is not None and not exchange.kept_here:
            self.abilities.answered(record.deployment, record.exceeded or 0)
        if self.records.lost:
            self.metrics.lost.set(self.records.lost)
        exchange.leave(exchange.measured())
        exchange.teller = None  # the two know each other: neither is to wait for the garbage collector

    def _load(self, arm: Arm) -> Load:
        none = self._pressure(arm.none)
        return Load(none, none if arm.think is arm.none else self._pressure(arm.think))

    def _pressure(self, deployment: Deployment | None) -> Pressure:
        return IDLE if deployment is None else self.dispatch.gates[deployment.name].pressure()


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

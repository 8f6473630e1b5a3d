"""The end of a request: it is charged, recorded and counted exactly once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import Gauge

from gateway.backends.capabilities import Capabilities
from gateway.backends.failures import OWN_ID
from gateway.backends.level_usage import observation as level_observation
from gateway.core.errors import GatewayError, InternalError, ShuttingDown
from gateway.core.record import Record
from gateway.execution import length_loss
from gateway.execution.answer_collector import AnswerCollector
from gateway.execution.answer_scoring import AnswerScoring, outcome_of
from gateway.execution.answer_task import task_of
from gateway.execution.implicit_signals import METRIC, ImplicitSignals
from gateway.execution.recorder import Recorder
from gateway.execution.report import budget_check
from gateway.execution.row import make_record, with_features
from gateway.execution.settlement import settle, timing
from gateway.storage.protocol import RecordIdentity, RecordStore
from gateway.storage.refusals import Refusals

OK = 200
log = logging.getLogger("thinkgate")


def no_key(key: str | None) -> bool:
    return False


class RequestCounts(Protocol):
    """The metrics of requests."""

    @property
    def lost(self) -> Gauge:
        """Records that could not be written."""
        ...

    def began(self) -> None: ...

    def finished(self, record: Record) -> None: ...


@dataclass(frozen=True, slots=True)
class Accounting:
    """Every request that begins must end in one of `close`, `fail` and `hang_up`, which writes its record.

    `observe` also gets each record: price setters learn by it. `config` is the version of the configuration, `signals`
    sees complete answers where implicit outcomes are wanted; `learns`: whether records of a key, by its id, are to be
    learned from.
    """

    records: RecordStore
    metrics: RequestCounts
    capabilities: Capabilities
    observe: Callable[[Record], None]
    scoring: AnswerScoring
    signals: ImplicitSignals | None = None
    config: str | None = None
    learns: Callable[[str | None], bool] = no_key
    refusals: Refusals = field(default_factory=Refusals)

    def fail(self, recorder: Recorder, error: Exception | asyncio.CancelledError) -> GatewayError:
        """End a request with an error; returns the error to show to the client."""
        if isinstance(error, asyncio.CancelledError):
            error = ShuttingDown()
        seen = error if isinstance(error, GatewayError) else InternalError()
        recorder.failed(seen)
        _log_failure(recorder, error)
        self.close(recorder)
        _forget_frames(error)
        return seen

    def hang_up(self, recorder: Recorder) -> None:
        """End a request whose client has disconnected; no effect if it was already complete."""
        if not recorder.closed:
            recorder.client_left()
            self.close(recorder)

    def close(self, recorder: Recorder) -> None:
        """Write the record, before the last byte goes to the client. Further calls have no effect."""
        if not recorder.close():
            return
        checked = budget_check(recorder)
        record = make_record(recorder, checked, settle(recorder, checked), self.config)
        if self.learns(record.key):
            record = with_features(record, recorder)
        if self.refusals.kept(record):
            self.records.write(record)
        self.metrics.finished(record)
        self.observe(record)
        if recorder.call is not None and recorder.call.choices == 1:
            level_observation.observe(self.capabilities.levels, record)
        if record.lost_to_length:
            of = RecordIdentity(record.id, record.key, record.user, record.unit, record.time)
            self.records.rate(outcome_of(of, length_loss.METRIC, length_loss.SOURCE, 0.0))
        if recorder.collector is not None:
            self._verify(recorder, recorder.collector, record)
        enforced_here = recorder.enforced is not None and recorder.enforced.thought is not None
        if record.deployment is not None and record.verdict is not None and not enforced_here:
            self.capabilities.answered(record.deployment, record.exceeded or 0)
        if self.records.lost:
            self.metrics.lost.set(self.records.lost)
        if recorder.place is not None:
            recorder.place.leave(timing(recorder))

    def _verify(self, recorder: Recorder, collector: AnswerCollector, record: Record) -> None:
        """Have a complete answer scored. One that broke off is nobody's answer, and what a filter withheld is not the
        model's; one that was cut at its limit of tokens counts as it is.
        """
        call = recorder.call
        if call is None or recorder.broke_off or record.status != OK or record.finish_reason == "content_filter":
            return
        if collector.is_too_long:
            self.scoring.skip(collector.verifiers, "too_long")
            return
        of = RecordIdentity(record.id, record.key, record.user, record.unit, record.time)
        answer = collector.answer(record.finish_reason)
        for sign in self.signals.observe(of, call, answer) if self.signals is not None else ():
            self.records.rate(outcome_of(sign.of, METRIC, sign.source, 0.0))
        self.scoring.submit(self.records, of, collector.verifiers, task_of(call), answer, call.size)


def _forget_frames(error: BaseException | None) -> None:
    """Break the reference cycle of recorder, error and traceback frames, so that large bodies are freed at once."""
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _log_failure(recorder: Recorder, error: Exception) -> None:
    """Client errors are not logged, backend errors get one line, and bugs of the gateway a traceback."""
    request_id = recorder.facts.request_id
    if not isinstance(error, GatewayError):
        log.error("request %s failed inside the gateway", request_id, exc_info=error)
    elif error.status >= 500:
        backend_id = error.headers.get(OWN_ID, recorder.outcome.reply.own_id if recorder.outcome else None)
        suffix = f"; the backend's id for it: {backend_id}" if backend_id else ""
        log.warning("request %s: %s%s", request_id, error.for_log(), suffix)

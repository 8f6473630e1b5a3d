"""How a request ends: charged, recorded, counted, and that once."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from gateway.backends.capabilities import Capabilities
from gateway.backends.failures import OWN_ID
from gateway.core.errors import GatewayError, InternalError, ShuttingDown
from gateway.execution.recorder import Recorder
from gateway.execution.report import budget_check
from gateway.execution.row import make_record
from gateway.execution.settlement import settle, timing
from gateway.observability.metrics import Metrics
from gateway.storage.protocol import RecordStore
from gateway.storage.refusals import Refusals

log = logging.getLogger("thinkgate")


@dataclass(frozen=True, slots=True)
class Accounting:
    """Every request that begins must end in `close`, `fail` or `hang_up`: that is its one record."""

    records: RecordStore
    metrics: Metrics
    capabilities: Capabilities
    refusals: Refusals = field(default_factory=Refusals)

    def fail(self, recorder: Recorder, error: Exception | asyncio.CancelledError) -> GatewayError:
        """End a request with an error; returns the one that the client may see."""
        if isinstance(error, asyncio.CancelledError):
            error = ShuttingDown()
        seen = error if isinstance(error, GatewayError) else InternalError()
        recorder.failed(seen)
        _log_failure(recorder, error)
        self.close(recorder)
        _forget_frames(error)
        return seen

    def hang_up(self, recorder: Recorder) -> None:
        """End a request whose client has gone; one that was complete already stays so."""
        if not recorder.closed:
            recorder.client_left()
            self.close(recorder)

    def close(self, recorder: Recorder) -> None:
        """Write the one record; called before the last byte goes to the client, and never twice to any effect."""
        if not recorder.close():
            return
        checked = budget_check(recorder)
        record = make_record(recorder, checked, settle(recorder, checked))
        if self.refusals.kept(record):
            self.records.write(record)
        self.metrics.finished(record)
        enforced_here = recorder.enforced is not None and recorder.enforced.thought is not None
        if record.deployment is not None and record.verdict is not None and not enforced_here:
            self.capabilities.answered(record.deployment, record.exceeded or 0)
        if self.records.lost:
            self.metrics.lost.set(self.records.lost)
        if recorder.place is not None:
            recorder.place.leave(timing(recorder))


def _forget_frames(error: BaseException | None) -> None:
    """What is in the frames that an error came through, such as a large body, is not to wait for the garbage collector:
    the recorder has the error, and the frames have the recorder.
    """
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _log_failure(recorder: Recorder, error: Exception) -> None:
    """Client errors are the client's; a backend's is worth a line; ours need the traceback."""
    request_id = recorder.facts.request_id
    if not isinstance(error, GatewayError):
        log.error("request %s failed inside the gateway", request_id, exc_info=error)
    elif error.status >= 500:
        backends = error.headers.get(OWN_ID, recorder.outcome.reply.own_id if recorder.outcome else None)
        its = f"; the backend's id for it: {backends}" if backends else ""
        log.warning("request %s: %s%s", request_id, error.for_log(), its)

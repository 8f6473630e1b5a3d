"""An answer as its record tells it, to those who verify levels: the same at the end of a request and out of a store."""

from __future__ import annotations

import orjson

from gateway.backends.level_usage.sample import Answered, Stratum, stratum_of
from gateway.backends.level_usage.usage import LevelUsage
from gateway.core.efforts import NO_THINKING
from gateway.core.forecast import EffortForecast
from gateway.core.record import Record

OK = 200


def observe(levels: LevelUsage, record: Record) -> None:
    """Complete answers of requests whose effort was decided; others say nothing of a level."""
    complete = record.status == OK and record.finish_reason is not None and not record.client_gone
    if not complete or record.deployment is None or record.completion_tokens is None:
        return
    if record.decided is None or record.applied is None or record.requested is None:
        return
    # Nothing counted is no proof where a backend may hide its reasoning.
    thinking = record.used if record.used or record.used_from == "reported" else None
    answered = Answered(record.completion_tokens, thinking, record.finish_reason == "length")
    levels.observe(record.deployment, record.decided, record.applied, answered, _stratum(record))


def _stratum(record: Record) -> Stratum:
    """By the forecast from the text alone: a probe changes it."""
    stored = record.forecast_before or record.forecast
    rows = orjson.loads(stored) if stored else []
    weakest = EffortForecast(NO_THINKING, *rows[0][1:5]) if rows else None
    return stratum_of(weakest, record.prompt_tokens or 0)

"""`POST /v1/feedback`: what became of an answer, by the client that got it."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from typing import Any, Literal

import orjson
from fastapi import APIRouter, Request, Response

from gateway.api import asgi, checks, json_object
from gateway.api.authentication import authenticated
from gateway.api.fields import Fields
from gateway.auth.authenticator import Authenticator
from gateway.config.server import ServerSettings
from gateway.core.errors import InvalidRequest, QuotaExceeded, RecordsUnavailable, RequestNotFound
from gateway.core.outcome_row import OutcomeRow
from gateway.core.unit import among_keys, unit_hash
from gateway.storage.protocol import RecordGroup, RecordStore

# In characters, but for the body.
MOST_BYTES, MOST_ID, MOST_NAME, MOST_LABEL, MOST_COMMENT = 65_536, 200, 8192, 200, 4000
METRIC = "[a-z0-9][a-z0-9_.-]{0,63}"
FIELDS = ("id", "conversation", "session", "score", "label", "comment", "metric")
DEFAULT_METRIC = "outcome"
# People report through this route; verifiers and other sources of the gateway's own have names of their own. A score of
# a conversation or a session is kept with its latest request, beside what is said of that request alone.
SOURCES = {"id": "person", "conversation": "person:conversation", "session": "person:session"}
GROUPS: dict[str, Literal["unit", "session"]] = {"conversation": "unit", "session": "session"}
MINUTE_S = 60
_NO_NUMBER = re.compile(rb'"score"\s*:\s*(NaN|-?Infinity|-?[0-9.]+[eE]\+?[0-9]{3,}|-?[0-9]{19,})')


class FeedbackLimiter:
    """How many outcomes each key may report in a minute, in this process."""

    def __init__(self, per_minute: int) -> None:
        self._most = per_minute
        self._minute = -1
        self._counts: Counter[str | None] = Counter()

    def admit(self, key: str | None, now: float) -> None:
        """Count one at `now`, in seconds since 1970. QuotaExceeded: it is one too many."""
        minute = int(now // MINUTE_S)
        if minute != self._minute:
            self._minute, self._counts = minute, Counter()
        if self._counts[key] >= self._most:
            message = f"At most {self._most} outcomes may be reported in a minute."
            wait_s = (minute + 1) * MINUTE_S - now
            raise QuotaExceeded("requests", "rate_limit_exceeded", message, wait_s)
        self._counts[key] += 1


def router(authenticator: Authenticator, store: RecordStore, limits: ServerSettings, max_per_minute: int) -> APIRouter:
    """`max_per_minute`: how many outcomes each key may report."""
    routes, limiter = APIRouter(), FeedbackLimiter(max_per_minute)

    @routes.post("/v1/feedback")
    async def report(request: Request) -> Response:
        with authenticated(authenticator, request) as principal:
            limiter.admit(principal.key, time.time())
            raw = await asgi.read_body(request.scope, request.receive, min(MOST_BYTES, limits.max_body_bytes))
            outcome = read_outcome(_object(raw, limits))
            answer = await asyncio.to_thread(_keep, store, outcome._replace(key=principal.key))
            return Response(orjson.dumps(answer), headers=principal.headers(), media_type="application/json")

    return routes


def _object(raw: bytes | bytearray, limits: ServerSettings) -> dict[str, Any]:
    """InvalidRequest: it is no JSON object. Some clients write scores that JSON has no word for: those are named."""
    try:
        return json_object.read(raw, limits.max_depth, limits.max_values)
    except InvalidRequest:
        if _NO_NUMBER.search(raw):
            raise checks.wrong_value("score", "must be from 0 to 1, and is no such number.") from None
        raise


def read_outcome(body: dict[str, Any]) -> OutcomeRow:
    """The outcome that a request reports, its `id` as the client gave it, whatever that names. InvalidRequest: it is
    none.
    """
    fields = Fields(body)
    for name in body:
        if name not in FIELDS:
            raise InvalidRequest(
                f"{name[:100]} is unknown: /v1/feedback takes {', '.join(FIELDS)}.",
                param=name[:100],
                code="unknown_parameter",
            )
    target = read_target(fields)
    metric = fields.text("metric")
    metric = DEFAULT_METRIC if metric is None else metric
    if not re.fullmatch(METRIC, metric):
        raise checks.wrong_value("metric", "must be up to 64 characters of a-z, 0-9, _, . and -, the first no mark.")
    return OutcomeRow(
        id=fields.text(target, MOST_ID if target == "id" else MOST_NAME) or "",
        metric=metric,
        source=SOURCES[target],
        score=read_score(body.get("score")),
        time=time.time(),
        label=fields.text("label", MOST_LABEL),
        comment=fields.text("comment", MOST_COMMENT),
    )


def read_target(fields: Fields) -> str:
    """Which field says what was scored. InvalidRequest: none does, or more than one."""
    given = [name for name in SOURCES if fields.any(name) is not None]
    if len(given) > 1:
        raise checks.wrong_value(given[1], f"cannot be given beside {given[0]}: score one of them at a time.")
    target = given[0] if given else "id"
    fields.needed(target)
    return target


def read_score(score: Any) -> float:
    """True and false are 1 and 0. InvalidRequest: it is no number from 0 to 1."""
    if score is None:
        raise InvalidRequest("score is required.", param="score", code="missing_required_parameter")
    if type(score) not in (bool, int, float):
        raise checks.wrong_type("score", "a number from 0 to 1, or true or false", score)
    if not 0 <= score <= 1:  # NaN is not, either
        raise checks.wrong_value("score", f"must be from 0 to 1, not {str(score)[:40]}.")
    return float(score)


def _keep(store: RecordStore, outcome: OutcomeRow) -> dict[str, Any]:
    """Keep it, if it is the first one, and the answer about it. RequestNotFound, RecordsUnavailable."""
    target = next(name for name, source in SOURCES.items() if source == outcome.source)
    group = None
    if target in GROUPS:
        group = RecordGroup(GROUPS[target], unit_hash(among_keys(outcome.id, outcome.key)))
        found = store.latest(group, outcome.key)
    else:
        found = store.find(outcome.id, outcome.key)
    if found is None:
        raise RequestNotFound(outcome.id, target)
    outcome = outcome._replace(id=found.id, user=found.user, unit=found.unit)
    before = None if group is None else store.group_score(group, outcome.key, outcome.metric, outcome.source)
    before = store.score(outcome.id, outcome.metric, outcome.source) if before is None else before
    if before is None and not store.rate(outcome):
        raise RecordsUnavailable
    accepted = before is None or before == outcome.score
    return {"id": outcome.id, "metric": outcome.metric, "accepted": accepted, "duplicate": before is not None}

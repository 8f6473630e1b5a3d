"""`DELETE /keys/{id}/data`, for operators: erases all stored data of a key, or of one of its users."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from gateway.api import checks
from gateway.api.keys import operator
from gateway.api.responses import store
from gateway.auth.keys import Keys
from gateway.core.errors import ErasureFailed
from gateway.storage.protocol import RecordArchive
from gateway.storage.subject import Subject

log = logging.getLogger("thinkgate")
Erase = Callable[[Subject, bool], "Erased"]


@dataclass(frozen=True, slots=True)
class Erased:
    """The numbers of erased records and responses."""

    records: int
    responses: int


def erase(records: RecordArchive, responses: Path, subject: Subject, anonymise: bool) -> Erased:
    """Erase a subject's data; a missing responses database holds none. ErasureFailed: a database is unavailable."""
    try:
        return Erased(
            records.erase(subject, anonymise),
            store.erase(responses, subject) if responses.exists() else 0,
        )
    except (OSError, sqlite3.Error) as error:
        log.error("stored data cannot be erased: %s", error)
        raise ErasureFailed from error


def router(keys: Keys, erase: Erase) -> APIRouter:
    routes = APIRouter(prefix="/keys")

    @routes.delete("/{id}/data")
    async def delete(id: str, request: Request) -> Response:
        keys.get(id)
        user = request.query_params.get("user") or None
        anonymise = _flag(request.query_params.get("anonymise"))
        erased = await asyncio.to_thread(erase, Subject(id, user), anonymise)
        operator(keys, request).note("data.erase", id)
        subject = f"a user of key {id}" if user else f"key {id}"
        log.warning("an operator erased %d records and %d responses of %s", erased.records, erased.responses, subject)
        return JSONResponse(
            {"id": id, "records": erased.records, "responses": erased.responses, "anonymised": anonymise}
        )

    return routes


def _flag(given: str | None) -> bool:
    if given not in (None, "true", "false"):
        raise checks.wrong_value("anonymise", f"must be true or false, not {given[:40]!r}.")
    return given == "true"

"""`DELETE /keys/{id}/data`, for operators: what is kept of a key, or of one of its users, goes from all databases."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

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
    """How many of each were there and are not any more."""

    records: int
    responses: int


def erase(records: RecordArchive, responses: Path, whose: Subject, anonymise: bool) -> Erased:
    """Where responses are not there, there is nothing in it. ErasureFailed: one of them is out of reach."""
    try:
        return Erased(
            records.erase(whose, anonymise),
            store.erase(responses, whose) if responses.exists() else 0,
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
        gone = await asyncio.to_thread(erase, Subject(id, user), anonymise)
        operator(keys, request).note("data.erase", id)
        whose = f"a user of key {id}" if user else f"key {id}"
        log.warning("an operator erased %d records and %d responses of %s", gone.records, gone.responses, whose)
        told: dict[str, Any] = {"id": id, "records": gone.records, "responses": gone.responses, "anonymised": anonymise}
        return Response(orjson.dumps(told), media_type="application/json")

    return routes


def _flag(given: str | None) -> bool:
    if given not in (None, "true", "false"):
        raise checks.wrong_value("anonymise", f"must be true or false, not {given[:40]!r}.")
    return given == "true"

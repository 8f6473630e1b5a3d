"""Experiments whose arms differ by what a scripted backend answers, and outcomes for their requests."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gateway.core.outcome_row import OutcomeRow
from gateway.storage.rows import insert
from tests.gateway.running import RunningGateway
from tests.gateway.stored import connect

HI = [{"role": "user", "content": "hi"}]


def as_toml(settings: dict[str, Any]) -> str:
    """A settings table as a file: each of its tables on a line of its own."""
    return "".join(f"{name} = {_inline(value)}\n" for name, value in settings.items())


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(name)} = {_inline(each)}' for name, each in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return json.dumps(value)


def ask(gateway: RunningGateway, model: str, units: Iterable[str], **fields: Any) -> dict[str, str]:
    """One request of each unit; the arm of each."""
    return {
        unit: gateway.post({"model": model, "messages": HI, "user": unit, **fields}).headers["x-thinkgate-arm"]
        for unit in units
    }


def score(database: Path, scores: Iterable[tuple[str, float]]) -> None:
    """Outcomes by the gateway's own ids of requests."""
    with connect(database) as connection, connection.begin():
        insert(connection, [OutcomeRow(id, "outcome", "verifier:test", one, time.time()) for id, one in scores])

"""What is changed from outside, by a configuration or a public protocol alone, and serves like what is shipped.

A policy and an effort router have files of their own: `test_policy_from_outside.py`, `test_router_from_outside.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway.app import make_parts
from gateway.auth.principal import ANONYMOUS, Principal
from gateway.config.settings import parse
from gateway.core.aliases import Headers
from gateway.core.errors import InvalidKey
from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record
from gateway.storage.protocol import RecordGroup
from tests.gateway.conftest import Start
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend

HELLO = {"model": "pub", "messages": [{"role": "user", "content": "Hello."}]}


def table(url: str, family: str = "qwen3", **more: Any) -> dict[str, Any]:
    return {
        "deployments": {"dep": {"url": url, "model": "tiny", "family": family, "verify": False}},
        "models": {"pub": {"deployment": "dep"}},
        **more,
    }


def test_a_family_is_a_row_of_the_configuration(backend: ScriptedBackend, start: Start) -> None:
    row = {
        "about": "thinks by a level that stands in a field of its own",
        "off": {"ponder": "not"},
        "level_field": "ponder",
        "levels": {"low": "low", "high": "high"},
        "source": "this test",
    }
    gateway = start(table(backend.url, "ponderer", families={"ponderer": row}))
    for effort, sent in (("none", "not"), ("low", "low"), ("high", "high"), ("minimal", "low")):
        answer = gateway.post({**HELLO, "reasoning_effort": effort})
        assert answer.status_code == 200, answer.text
        assert backend.last["ponder"] == sent and "reasoning_effort" not in backend.last


class ProxyAuthenticator:
    """Believes a proxy in front of the gateway that names the user."""

    def authenticate(self, headers: Headers) -> Principal:
        if "x-proxy-user" not in headers:
            raise InvalidKey("The proxy names no user.")
        return ANONYMOUS

    def is_known(self, headers: Headers) -> bool:
        return "x-proxy-user" in headers

    def learns(self, key: str | None) -> bool:
        return False

    def close(self) -> None:
        pass


def test_an_authenticator_is_a_part_of_its_own(backend: ScriptedBackend, tmp_path: Path) -> None:
    settings = parse({**table(backend.url), "records": {"path": tmp_path / "records.db"}})
    parts = replace(make_parts(settings), authenticator=ProxyAuthenticator())
    with RunningGateway.of(parts) as gateway:
        refused = gateway.post(HELLO)
        assert (refused.status_code, refused.json()["error"]["message"]) == (401, "The proxy names no user.")
        assert backend.requests == []
        assert gateway.post(HELLO, headers={"x-proxy-user": "ann"}).status_code == 200


@dataclass
class ListStore:
    """Keeps records in memory."""

    rows: list[Record] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    lost: int = 0

    def start(self) -> None:
        self.calls.append("start")

    def write(self, record: Record) -> None:
        self.rows.append(record)

    def find(self, id: str, key: str | None) -> None:
        return None

    def latest(self, group: RecordGroup, key: str | None) -> None:
        return None

    def group_score(self, group: RecordGroup, key: str | None, metric: str, source: str) -> None:
        return None

    def score(self, id: str, metric: str, source: str) -> None:
        return None

    def rate(self, outcome: OutcomeRow) -> bool:
        return False

    def stop(self) -> None:
        self.calls.append("stop")


def test_records_go_to_any_store(backend: ScriptedBackend, tmp_path: Path) -> None:
    store, path = ListStore(), tmp_path / "records.db"
    parts = replace(make_parts(parse({**table(backend.url), "records": {"path": path}})), records=store)
    with RunningGateway.of(parts) as gateway:
        answers = [gateway.post({**HELLO, "model": model}) for model in ("pub", "unknown")]
    assert [record.status for record in store.rows] == [answer.status_code for answer in answers] == [200, 404]
    assert store.calls == ["start", "stop"] and not path.exists()

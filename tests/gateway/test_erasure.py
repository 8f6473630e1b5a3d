"""What is kept of a key or of a user goes, by command and on the operators' port, while gateways run."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.api.data import Erased, erase
from gateway.core.record import Record
from gateway.storage.subject import Subject
from tests import plain_http
from tests.gateway.anthropics import HI, MESSAGES
from tests.gateway.command_line import invoke
from tests.gateway.conftest import table
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.processes import Process
from tests.gateway.scripted import ScriptedBackend
from tests.gateway.stored import archive_of, records_in, stored
from tests.gateway.test_check import run
from tests.gateway.test_operators import CONFIG, OPERATOR
from tests.gateway.test_tenancy import CHAT, RESPONSES, Tenant
from tests.patience import until


@pytest.fixture
def gateway(backend: ScriptedBackend, tmp_path: Path) -> Iterator[KeyedGateway]:
    with KeyedGateway(table(backend.url), tmp_path, Clock()) as running:
        yield running


def speak(tenant: Tenant, user: str) -> str:
    """One request in each dialect; the id of the response that is kept, which the last of two turns is."""
    model: dict[str, Any] = {"model": "plain"}
    assert tenant.post(CHAT, **model, messages=HI, user=user).status_code == 200
    assert tenant.post(MESSAGES, **model, max_tokens=100, messages=HI, metadata={"user_id": user}).status_code == 200
    first = tenant.post(RESPONSES, **model, input=f"of {user}", safety_identifier=user).json()
    return str(tenant.post(RESPONSES, **model, input="and?", previous_response_id=first["id"]).json()["id"])


def gone(gateway: KeyedGateway, key: str | None = None, user: str | None = None, anonymise: bool = False) -> Erased:
    settings = gateway.parts.settings
    return erase(archive_of(settings.records.path), settings.responses_path, Subject(key, user), anonymise)


def owners(path: Path) -> list[tuple[str | None, str | None]]:
    return stored(path, "key, user")


def test_a_user_a_key_and_a_user_of_a_key(gateway: KeyedGateway) -> None:
    tenants = [Tenant(gateway, gateway.key()) for _ in range(2)]
    first, second = (key.id for key in gateway.keys.all())
    kept = {(index, user): speak(tenant, user) for index, tenant in enumerate(tenants) for user in ("Ann", "Bob")}
    until(lambda: len(owners(gateway.database)) == 16)

    def there(index: int, user: str) -> bool:
        return tenants[index].ask("GET", f"{RESPONSES}/{kept[index, user]}").status_code == 200

    # The last turn names nobody: its unit is that of the response it goes on from, which is the user.
    assert gone(gateway, first, "Ann") == Erased(4, 2)
    assert [there(0, "Ann"), there(0, "Bob"), there(1, "Ann")] == [False, True, True]
    assert gone(gateway, None, "Bob") == Erased(8, 4)
    assert [there(0, "Bob"), there(1, "Ann"), there(1, "Bob")] == [False, True, False]
    assert gone(gateway, second, anonymise=True) == Erased(4, 2)
    assert not there(1, "Ann") and {owner[0] for owner in owners(gateway.database)} == {None}
    assert gone(gateway, first) == Erased(0, 0) and gone(gateway, "no-such") == Erased(0, 0)
    assert owners(gateway.database) == [(None, None)] * 4
    content = Path(gateway.parts.settings.responses_path).read_bytes()
    assert b"of Ann" not in content and b"of Bob" not in content
    # They are still clients, and what they do from now on is recorded.
    speak(tenants[0], "Ann")
    until(lambda: len(owners(gateway.database)) == 8)
    for tenant in tenants:
        tenant.close()


def test_what_had_not_reached_the_table_does_not_come_back(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    waiting = records_in(path)
    early = Record(id="early", request_id="r", time=time.time(), dialect="chat", status=200, key="k1")
    waiting.write(early)
    waiting.write(early._replace(id="other", key="k2"))
    path.touch()
    assert erase(archive_of(path), tmp_path / "none", Subject("k1"), False) == Erased(0, 0)
    waiting.write(early._replace(id="late", time=time.time() + 1))
    waiting.start()
    waiting.stop()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT id FROM records ORDER BY id").fetchall() == [("late",), ("other",)]
    assert "user" in Record._fields


def test_by_command_and_on_the_operators_port(
    backend: ScriptedBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THINKGATE_TEST_OPERATORS_KEY", OPERATOR)
    config = tmp_path / "thinkgate.toml"
    config.write_text(CONFIG.format(url=backend.url, model="m"), "utf-8")
    with Process("--config", config, "--port", "0", cwd=tmp_path) as gateway:
        url = gateway.url()
        made = json.loads(invoke("keys", "create", "Ann", "--config", config, "--json", cwd=tmp_path).stdout)
        client = plain_http.client(base_url=url, headers={"authorization": f"Bearer {made['secret']}"})
        operator = plain_http.client(base_url=gateway.operators, headers={"authorization": f"Bearer {OPERATOR}"})
        with client, operator:
            for _ in range(2):
                assert client.post(RESPONSES, json={"model": "pub", "input": "hi", "user": "A B"}).status_code == 200
            database = tmp_path / "thinkgate.db"
            until(lambda: len(owners(database)) == 2)
            told = operator.delete(f"/keys/{made['id']}/data", params={"user": "A B", "anonymise": "true"}).json()
            assert told == {"id": made["id"], "records": 2, "responses": 2, "anonymised": True}
            assert operator.delete("/keys/no-such/data").status_code == 404
            assert operator.delete(f"/keys/{made['id']}/data?anonymise=2").status_code == 400
            assert client.post(RESPONSES, json={"model": "pub", "input": "hi"}).status_code == 200
            until(lambda: len(owners(database)) == 3)
            done = run("records", "erase", "--key", made["id"], "--config", config, "--json", cwd=tmp_path)
            assert json.loads(done.stdout) == {"records": 1, "responses": 1, "anonymised": False}
            assert invoke("records", "erase", "--config", config, cwd=tmp_path).returncode == 1
        assert gateway.stop() == 0
        assert "an operator erased 2 records and 2 responses of a user of key" in gateway.errors()

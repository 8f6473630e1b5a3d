"""Who comes in: keys by either header, of any age and state; who does not, costs nothing and learns nothing."""

from __future__ import annotations

import gc
import re
import sqlite3
import stat
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from gateway.auth.api_key_format import key_id
from gateway.core.errors import InvalidKey, KeyNotLive, UnknownKey
from tests.gateway.conftest import table
from tests.gateway.keyed import NOON, Clock, KeyedGateway, ServedKeyedGateway
from tests.gateway.scripted import ScriptedBackend

ASK: dict[str, Any] = {"model": "merged", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gateway(backend: ScriptedBackend, tmp_path: Path, clock: Clock) -> Iterator[KeyedGateway]:
    with KeyedGateway(table(backend.url), tmp_path, clock) as running:
        yield running


def opens(gateway: KeyedGateway, secret: str) -> bool:
    with gateway.client(secret) as client:
        try:
            client.chat.completions.create(**ASK)
        except openai.AuthenticationError:
            return False
        return True


def test_a_key_opens_and_its_id_is_recorded(gateway: KeyedGateway) -> None:
    secret = gateway.key()
    assert re.fullmatch(r"tg-[a-z2-7]{16}-[\w-]{43}", secret)
    assert opens(gateway, secret)
    (row,) = gateway.records()
    assert row["key"] == key_id(secret) and row["cost"] == 0


def test_strangers_are_refused_before_their_body_is_read(gateway: KeyedGateway, backend: ScriptedBackend) -> None:
    good = gateway.key()
    for headers in (
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": f"Basic {good}"},
        {"authorization": good},
        {"authorization": f"Bearer {good}x"},
        {"authorization": f"Bearer {good[:-1]}"},
        {"authorization": f"Bearer {good[:30]}{'A' * 33}"},
        {"authorization": f"Bearer {good.upper()}"},
        {"authorization": "Bearer " + "x" * 20_000},
        {"authorization": b"Bearer \xff\xfe\x80"},
        {"authorization": f"Bearer tg-{'a' * 16}-{'A' * 43}"},
        {"authorization": "Bearer sk-1234567890"},
        {"authorization": "Bearer tg-' OR 1=1 --"},
        {"x-api-key": "nonsense"},
    ):
        answer = gateway.post(b"{ not read", headers=headers)
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["code"]) == (401, "invalid_request_error", "invalid_api_key")
        assert answer.headers["www-authenticate"] == "Bearer" and answer.headers["x-request-id"]
        assert good not in answer.text and gateway.get("/v1/models", headers=headers).status_code == 401
    assert backend.requests == []
    text = gateway.get("/metrics", headers={"x-api-key": good}).text
    assert 'thinkgate_refused_total{why="malformed"} 16.0' in text
    assert 'thinkgate_refused_total{why="missing"} 10.0' in text
    assert 'thinkgate_refused_total{why="unknown"} 4.0' in text
    gateway.stop()
    assert not gateway.database.exists()


def test_a_stranger_with_a_huge_body_is_answered_before_it_is_sent(backend: ScriptedBackend, tmp_path: Path) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(200):
            sent += 1
            yield b"x" * 1_000_000

    with ServedKeyedGateway(table(backend.url), tmp_path, Clock()) as gateway, gateway.http() as client:
        request = client.build_request("POST", "/v1/chat/completions", content=endless())
        try:
            assert client.send(request).status_code == 401
        except httpx.WriteError:
            assert sent < 200


def test_the_scheme_may_be_written_in_any_way_and_anthropics_header_will_do(gateway: KeyedGateway) -> None:
    secret = gateway.key()
    for headers in (
        {"authorization": f"bearer {secret}"},
        {"authorization": f"BEARER  {secret}"},
        {"x-api-key": secret},
    ):
        assert gateway.post(ASK, headers=headers).status_code == 200
    with gateway.claude(secret) as client:
        assert "merged" in [model.id for model in client.models.list()]
    with (
        gateway.claude("tg-none") as stranger,
        pytest.raises(anthropic.AuthenticationError),
    ):
        stranger.models.list()


def test_keys_that_cannot_be_read_open_nothing(gateway: KeyedGateway, tmp_path: Path) -> None:
    secret, other = gateway.key(), gateway.key()
    with closing(sqlite3.connect(tmp_path / "keys.db")) as database, database:
        database.execute("UPDATE keys SET limits = ? WHERE id = ?", ('{"of_tomorrow": 1}', key_id(secret)))
    answer = gateway.post(ASK, headers={"x-api-key": secret})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "access_unavailable")
    assert opens(gateway, other)
    with closing(sqlite3.connect(tmp_path / "keys.db")) as database, database:
        database.execute("DROP TABLE secrets")
    gateway.keys.counters.changed()
    assert gateway.post(ASK, headers={"x-api-key": other}).status_code == 503


def test_strangers_leave_nothing_behind_in_memory(gateway: KeyedGateway) -> None:
    authenticator = gateway.parts.authenticator

    def knock(times: int) -> None:
        for number in range(times):
            shown = f"tg-{number:016d}-{'A' * 43}".translate(str.maketrans("0123456789", "abcdefghij", ""))
            with pytest.raises(InvalidKey):
                authenticator.authenticate({"authorization": f"Bearer {shown}"})

    knock(100)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    knock(3000)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 100_000


def test_expiry_is_to_the_second(gateway: KeyedGateway, clock: Clock) -> None:
    secret = gateway.key(expires_in_s=60)
    clock.now = NOON + 59.9
    assert opens(gateway, secret)
    clock.now = NOON + 60
    assert not opens(gateway, secret)


def test_a_revoked_key_opens_nothing_at_once_and_for_good(gateway: KeyedGateway) -> None:
    secret, other = gateway.key(), gateway.key()
    assert opens(gateway, secret)
    id = str(key_id(secret))
    first = gateway.keys.revoke(id)
    assert not opens(gateway, secret) and opens(gateway, other)
    assert gateway.keys.revoke(id) == first
    with pytest.raises(KeyNotLive, match="revoked"):
        gateway.keys.rotate(id, 0)
    with pytest.raises(UnknownKey):
        gateway.keys.revoke("another")


def test_rotation_overlaps_for_as_long_as_was_said(gateway: KeyedGateway, clock: Clock) -> None:
    old = gateway.key()
    id = str(key_id(old))
    key, new = gateway.keys.rotate(id, 3600)
    assert key.id == id and new != old and key_id(new) == id
    assert opens(gateway, old) and opens(gateway, new)
    clock.now += 3600
    assert not opens(gateway, old) and opens(gateway, new)
    newest = gateway.keys.rotate(id, 0)[1]
    assert not opens(gateway, new) and opens(gateway, newest)
    # A later rotation does not make an earlier secret live longer.
    gateway.keys.rotate(id, 60)
    gateway.keys.rotate(id, 3600)
    clock.now += 60
    assert not opens(gateway, newest)


def test_secrets_of_one_key_are_bounded(gateway: KeyedGateway, clock: Clock) -> None:
    id = str(key_id(gateway.key()))
    for _ in range(7):
        gateway.keys.rotate(id, 3600)
    with pytest.raises(KeyNotLive, match="8 secrets"):
        gateway.keys.rotate(id, 3600)
    clock.now += 3600
    gateway.keys.rotate(id, 3600)


def test_only_hashes_are_stored_and_only_the_owner_can_read_them(gateway: KeyedGateway, tmp_path: Path) -> None:
    secret = gateway.key()
    assert opens(gateway, secret)
    for path in sorted(tmp_path.glob("keys.db*")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert secret[20:].encode() not in path.read_bytes()
    with closing(sqlite3.connect(tmp_path / "keys.db")) as database:
        ((stored,),) = database.execute("SELECT digest FROM secrets").fetchall()
    assert len(stored) == 32


def test_no_secret_is_in_a_repr(gateway: KeyedGateway) -> None:
    secret = gateway.key()
    key = gateway.keys.get(str(key_id(secret)))
    for secret_of in key.secrets:
        assert repr(secret_of.digest) not in repr(key) and secret[20:] not in repr(key)


def test_a_key_sees_and_uses_its_models_only(gateway: KeyedGateway, backend: ScriptedBackend) -> None:
    with gateway.client(gateway.key(models=["split", "plain"])) as client:
        assert [model.id for model in client.models.list()] == ["split", "plain"]
        assert client.models.retrieve("plain").id == "plain"
        for refused in (lambda: client.models.retrieve("merged"), lambda: client.chat.completions.create(**ASK)):
            with pytest.raises(openai.PermissionDeniedError) as caught:
                refused()
            assert caught.value.code == "model_not_allowed" and caught.value.param == "model"
            assert "It may use: split, plain." in caught.value.message
        # Whether there is such a model is not told either.
        with pytest.raises(openai.PermissionDeniedError) as unknown:
            client.chat.completions.create(model="no-such", messages=ASK["messages"])
        assert "unrouted" not in unknown.value.message
        assert backend.requests == []
        assert client.chat.completions.create(**{**ASK, "model": "split"}).choices


def test_what_needs_no_key(gateway: KeyedGateway) -> None:
    assert gateway.get("/health").status_code == 200
    # Which deployments there are is nobody else's business.
    assert gateway.get("/ready").json() == {"status": "ready"}
    known = gateway.get("/ready", headers={"x-api-key": gateway.key()})
    assert known.json()["deployments"]["hybrid"] == "ok"
    assert gateway.get("/ready", headers={"x-api-key": "tg-x"}).json() == {"status": "ready"}
    for path in ("/metrics", "/openapi.json"):
        assert gateway.get(path).status_code == 401
        assert gateway.get(path, headers={"x-api-key": gateway.key()}).status_code == 200

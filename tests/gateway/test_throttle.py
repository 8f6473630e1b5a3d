"""The operators' port: wrong keys are throttled, and what operators do is written down for good."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from gateway.auth.throttle import IN_TOTAL, PER_ADDRESS, TRUSTED_S, Throttle
from tests import plain_http
from tests.gateway.command_line import invoke
from tests.gateway.keyed import Clock
from tests.gateway.processes import Process
from tests.gateway.test_check import run
from tests.gateway.test_operators import CONFIG, OPERATOR


def test_an_address_has_so_many_tries_and_then_one_in_a_while() -> None:
    clock = Clock(0.0)
    throttle = Throttle(clock)
    for _ in range(PER_ADDRESS):
        assert throttle.wait_s("10.0.0.1") == 0
        throttle.failed("10.0.0.1")
    assert throttle.wait_s("10.0.0.1") == pytest.approx(60 / PER_ADDRESS)
    assert throttle.wait_s("10.0.0.2") == 0
    clock.now += 60 / PER_ADDRESS
    assert throttle.wait_s("10.0.0.1") == 0
    throttle.failed("10.0.0.1")
    assert throttle.wait_s("10.0.0.1") > 0
    # Whoever has one address of an IPv6 network has all of them.
    for host in range(PER_ADDRESS):
        throttle.failed(f"2001:db8::{host:x}")
    assert throttle.wait_s("2001:db8::ffff") > 0 and throttle.wait_s("2001:db8:0:1::1") == 0


def test_all_addresses_together_do_not_lock_out_who_has_the_key() -> None:
    clock = Clock(0.0)
    throttle = Throttle(clock)
    throttle.succeeded("10.9.9.9")
    for each in range(IN_TOTAL):
        throttle.failed(f"10.0.{each // 250}.{each % 250}")
    assert throttle.wait_s("10.8.8.8") == pytest.approx(60 / IN_TOTAL)
    assert throttle.wait_s("10.9.9.9") == 0
    clock.now += 60
    assert throttle.wait_s("10.8.8.8") == 0
    clock.now += TRUSTED_S
    for each in range(2 * IN_TOTAL):
        throttle.failed(f"10.1.{each // 250}.{each % 250}")
    assert throttle.wait_s("10.9.9.9") > 0


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    monkeypatch.setenv("THINKGATE_TEST_OPERATORS_KEY", OPERATOR)
    path = tmp_path / "thinkgate.toml"
    path.write_text(CONFIG.format(url="http://127.0.0.1:9", model="m"), "utf-8")
    with Process("--config", path, "--port", "0", cwd=tmp_path) as running:
        running.url()
        yield running


def test_what_operators_do_is_written_down_and_stays(process: Process, tmp_path: Path) -> None:
    headers = {"authorization": f"Bearer {OPERATOR}"}
    with plain_http.client(base_url=process.operators, headers=headers) as operator:
        made = operator.post("/keys", json={"name": "Ann"}).json()
        rotated = operator.post(f"/keys/{made['id']}/rotate").json()
        assert operator.post("/keys/no-such/revoke").status_code == 404
        assert operator.post("/routers/reload").status_code == 200
        done = run("keys", "revoke", made["id"], "--config", tmp_path / "thinkgate.toml", cwd=tmp_path)
        assert done.returncode == 0
        lines = operator.get("/audit").json()["data"][::-1]
    what = [(each["action"], each["key"]) for each in lines]
    id = made["id"]
    assert what == [("keys.create", id), ("keys.rotate", id), ("routers.reload", None), ("keys.revoke", id)]
    assert {each["who"] for each in lines[:3]} == {"operator at 127.0.0.1"} and lines[3]["who"].endswith(" by command")
    told = invoke("keys", "audit", "--json", "--config", tmp_path / "thinkgate.toml", cwd=tmp_path)
    assert json.loads(told.stdout)["data"][::-1] == lines
    shown = invoke("keys", "audit", "--config", tmp_path / "thinkgate.toml", cwd=tmp_path).stdout
    assert shown.count("\n") == 4 and "keys.revoke" in shown.splitlines()[0]
    with closing(sqlite3.connect(tmp_path / "thinkgate-keys.db")) as database:
        for change in ("DELETE FROM audit", "UPDATE audit SET who = 'nobody'"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                database.execute(change)
    log = process.errors()
    assert f"operator at 127.0.0.1: keys.create {id}" in log
    for secret in (made["secret"], rotated["secret"], OPERATOR):
        assert secret not in log + shown + str(lines)


def test_wrong_operators_keys_are_throttled(process: Process) -> None:
    def ask(key: str | None) -> httpx.Response:
        shown = {} if key is None else {"authorization": f"Bearer {key}"}
        return plain_http.get(f"{process.operators}/keys", headers=shown)

    for _ in range(2 * PER_ADDRESS):
        assert ask(None).status_code == 401, "no key is no guess"
    answers = [ask("wrong") for _ in range(3 * PER_ADDRESS)]
    statuses = [each.status_code for each in answers]
    assert statuses[:PER_ADDRESS] == [401] * PER_ADDRESS and 429 in statuses
    refused = next(each for each in answers if each.status_code == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert plain_http.get(f"{process.operators}/health").status_code == 200
    assert "wrong" not in process.errors().replace("wrong operator key from 127.0.0.1", "")

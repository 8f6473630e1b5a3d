"""Every request of a key counts, on every route; how many and how large they may be at once; and whose they are."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.auth.api_key_format import key_id
from gateway.auth.usage_row import UsageRow
from gateway.auth.usage_store import UsageStore
from gateway.config.storage import AccessSettings
from tests.gateway.conftest import table
from tests.gateway.keyed import NOON, Clock, KeyedGateway, ServedKeyedGateway
from tests.gateway.scripted import Connection, ScriptedBackend, obedient
from tests.patience import PATIENCE_S, until

SAID: dict[str, Any] = {"model": "bounded", "messages": [{"role": "user", "content": "hi"}]}
ROUTES: dict[str, dict[str, Any] | None] = {
    "POST /v1/chat/completions": SAID,
    "POST /v1/messages": {**SAID, "max_tokens": 300},
    "POST /v1/responses": {"model": "bounded", "input": "hi"},
    "POST /v1/completions": {"model": "plain", "prompt": "hi", "max_tokens": 1},
    "POST /v1/embeddings": {"model": "plain", "input": "hi"},
    "POST /v1/messages/count_tokens": SAID,
    "GET /v1/models": None,
    "GET /v1/models/bounded": None,
    "GET /v1/responses/resp_1": None,
    "GET /v1/responses/resp_1/input_items": None,
    "DELETE /v1/responses/resp_1": None,
    "POST /v1/responses/resp_1/cancel": None,
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gateway(backend: ScriptedBackend, tmp_path: Path, clock: Clock) -> Iterator[KeyedGateway]:
    with KeyedGateway(table(backend.url), tmp_path, clock) as running:
        yield running


def ask(gateway: KeyedGateway, route: str, secret: str, body: Any = None, **headers: str) -> httpx.Response:
    method, path = route.split(" ")
    given = ROUTES[route] if body is None else body
    content = {} if given is None else {"content": given} if isinstance(given, bytes) else {"json": given}
    return gateway.request(method, path, headers={"authorization": f"Bearer {secret}", **headers}, **content)


def row(gateway: KeyedGateway, secret: str) -> UsageRow:
    key = gateway.keys.get(str(key_id(secret)))
    return gateway.keys.counters.read(key.slot, gateway.keys.clock())


def test_every_route_counts_and_says_what_is_left(gateway: KeyedGateway) -> None:
    for route in ROUTES:
        secret = gateway.key(requests_per_minute=2)
        answers = [ask(gateway, route, secret) for _ in range(3)]
        assert answers[0].status_code != 429 and answers[1].status_code != 429, route
        assert answers[2].status_code == 429, route
        left = [each.headers.get("x-ratelimit-remaining-requests") for each in answers]
        if left[0] is None:  # as Anthropic says it
            left = [each.headers.get("anthropic-ratelimit-requests-remaining") for each in answers]
        assert left == ["1", "0", "0"], (route, dict(answers[0].headers))
        assert answers[2].headers["retry-after"] == "60"
        counts = row(gateway, secret)
        assert (counts.requests, counts.running, counts.bytes) == (2, 0, 0), route


def test_bad_requests_count_and_do_not_fill_the_disk(gateway: KeyedGateway, clock: Clock) -> None:
    secret, limited = gateway.key(), gateway.key(requests_per_minute=5)
    for body in (b"{", b"[]", b'{"model": 1}', b'{"model": "no"}', b'{"model": "bounded"}'):
        assert 400 <= ask(gateway, "POST /v1/chat/completions", limited, body).status_code < 429
    assert ask(gateway, "POST /v1/chat/completions", limited, b"{").status_code == 429
    for _ in range(100):
        assert ask(gateway, "POST /v1/chat/completions", secret, b"{").status_code == 400
    assert ask(gateway, "POST /v1/chat/completions", secret).status_code == 200
    rows = gateway.records()
    mine = [each["status"] for each in rows if each["key"] == key_id(secret)]
    # Sixty in a minute of the clock, which may have changed once.
    assert mine.count(400) in range(60, 100) and mine[-1] == 200
    assert len(rows) - len(mine) == 6


def test_parallel_requests_of_a_key_are_bounded_and_those_of_others_are_not(
    gateway: KeyedGateway, backend: ScriptedBackend
) -> None:
    finish, arrived = threading.Event(), threading.Semaphore(0)

    async def slow(connection: Connection) -> None:
        arrived.release()
        await asyncio.to_thread(finish.wait, PATIENCE_S)
        await obedient(connection)

    backend.script = slow
    secret, other = gateway.key(max_parallel_requests=2), gateway.key()
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(ask, gateway, "POST /v1/chat/completions", secret) for _ in range(2)]
        for _ in range(2):
            assert arrived.acquire(timeout=PATIENCE_S)
        for route in ROUTES:
            refused = ask(gateway, route, secret)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1"), route
            assert "2 parallel requests" in refused.text
        theirs = pool.submit(ask, gateway, "POST /v1/chat/completions", other)
        assert arrived.acquire(timeout=PATIENCE_S)
        finish.set()
        assert [each.result().status_code for each in (*running, theirs)] == [200] * 3
    assert ask(gateway, "POST /v1/chat/completions", secret).status_code == 200
    assert not any(row(gateway, secret).held)


def test_bytes_in_flight_are_counted_before_they_are_read(
    backend: ScriptedBackend, tmp_path: Path, clock: Clock
) -> None:
    with ServedKeyedGateway(table(backend.url), tmp_path, clock) as gateway:
        count_bytes(gateway)


def count_bytes(gateway: KeyedGateway) -> None:
    secret = gateway.key(max_bytes_in_flight=10_000)
    large = {**SAID, "messages": [{"role": "user", "content": "x" * 6000}]}
    address = gateway.url.removeprefix("http://")
    bearer = {"authorization": f"Bearer {secret}"}
    first = http.client.HTTPConnection(address, timeout=PATIENCE_S)
    first.putrequest("POST", "/v1/chat/completions")
    for name, value in {**bearer, "content-length": "6000"}.items():
        first.putheader(name, value)
    first.endheaders()  # of its body nothing has come yet
    until(lambda: row(gateway, secret).bytes == 6000)
    refused = ask(gateway, "POST /v1/messages", secret, large)
    assert refused.status_code == 429 and "hold 6000" in refused.text
    first.close()
    until(lambda: not any(row(gateway, secret).held))
    assert ask(gateway, "POST /v1/chat/completions", secret, large).status_code == 200
    # One that is larger than the key ever may have does not come back for it.
    never = ask(gateway, "POST /v1/chat/completions", secret, b" " * 10_001)
    assert never.status_code == 413 and never.json()["error"]["code"] == "request_too_large"
    # Nobody says how large it is going to be: counted as it comes.
    chunked = http.client.HTTPConnection(address, timeout=PATIENCE_S)
    pieces = iter([b"x" * 6000, b"x" * 6000])
    chunked.request(
        "POST", "/v1/chat/completions", pieces, {**bearer, "transfer-encoding": "chunked"}, encode_chunked=True
    )
    assert chunked.getresponse().status == 413
    chunked.close()
    until(lambda: not any(row(gateway, secret).held))


def test_usual_limits_hold_for_keys_without_their_own(backend: ScriptedBackend, tmp_path: Path) -> None:
    usual = AccessSettings()
    assert (usual.max_parallel_requests, usual.max_bytes_in_flight) == (1000, 256 * 1024 * 1024)
    settings = table(backend.url)
    with KeyedGateway(settings, tmp_path, Clock(), max_parallel_requests=0) as gateway:
        assert ask(gateway, "GET /v1/models", gateway.key()).status_code == 429
        assert ask(gateway, "GET /v1/models", gateway.key(max_parallel_requests=1)).status_code == 200


def test_two_credentials_are_refused_by_every_route(gateway: KeyedGateway) -> None:
    mine, theirs = gateway.key(), gateway.key()
    bearers = [("authorization", f"Bearer {mine}"), ("authorization", f"Bearer {theirs}")]
    for route in (*ROUTES, "GET /metrics", "GET /openapi.json"):
        method, path = route.split(" ")
        for shown, opens in (
            (bearers, False),
            (bearers[::-1], False),
            ([bearers[0], bearers[0]], False),
            ([("x-api-key", mine), ("x-api-key", theirs)], False),
            ([bearers[0], ("x-api-key", theirs)], False),
            ([("x-api-key", mine), bearers[1]], False),
            ([bearers[0], ("authorization", "Basic eA==")], False),
            ([bearers[0], ("x-api-key", mine)], True),
            ([bearers[0]], True),
        ):
            answer = gateway.request(method, path, headers=shown)
            assert (answer.status_code != 401) == opens, (route, shown)
            assert opens or "API key" in answer.text


HOLDS = """
import signal, sys
from pathlib import Path
from gateway.auth.usage_store import UsageStore
from gateway.auth.key_principal import KeyPrincipal
from gateway.auth.key import Key
from gateway.auth.limits import Limits
from gateway.auth.metering import Metering

key = Key(3, "k", "k", 0.0, None, None, Limits(max_parallel_requests=10))
counters = UsageStore(Path(sys.argv[1]))
for _ in range(4):
    KeyPrincipal(key, Metering(counters, lambda: float(sys.argv[2]))).admit(700)
print("holds", flush=True)
signal.pause()
"""


def test_what_a_killed_process_held_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "usage"
    counters = UsageStore(path)
    command = [sys.executable, "-c", HOLDS, str(path), str(NOON)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout is not None and process.stdout.readline() == "holds\n"
    assert (counters.read(3, NOON).running, counters.read(3, NOON).bytes) == (8, 5600)
    counters.release_dead()
    assert counters.read(3, NOON).running == 8, "they live"
    for left, process in zip((4, 0), both, strict=True):
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        counters.release_dead()
        assert (counters.read(3, NOON).running, counters.read(3, NOON).bytes) == (left, left * 700)
    assert [each.name for each in tmp_path.iterdir()] == ["usage"]
    counters.close()

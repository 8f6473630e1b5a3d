"""What one client does to a backend, or brings up against it, changes nothing for the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.capabilities import Capabilities
from gateway.backends.evidence import LASTS_S, TIMES, Evidence
from gateway.backends.latency import RECENT, LatencyModel, Timing
from gateway.backends.replicas import FAILURES, FIRST_BREAK_S, MOST_CLIENTS, Replica
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.families.table import family
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.scripted import Connection, ScriptedBackend, obedient

NOTE = "x-thinkgate-note"


async def poisoned(connection: Connection) -> None:
    """One body makes it answer 500, another one breaks its connection, one has it ask to be left alone."""
    text = str(connection.request.body.get("messages"))
    if "poison" in text:
        await connection.answer(500, b'{"error": {"message": "out of luck"}}')
    elif "crash" in text:
        connection.cut()
    elif "greedy" in text:
        await connection.answer(429, b'{"error": {"message": "too long for you"}}', {"retry-after": "60"})
    else:
        await obedient(connection)


@pytest.fixture
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend(poisoned) as backend:
        yield backend


@pytest.fixture
def spare() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as spare:
        yield spare


@pytest.fixture
def gateway(backend: ScriptedBackend, spare: ScriptedBackend, tmp_path: Path) -> Iterator[KeyedGateway]:
    served: dict[str, Any] = {"model": "m", "family": "qwen3", "verify": False}
    settings = {
        "deployments": {
            "main": {**served, "url": backend.url, "fallback": ["spare"]},
            "spare": {**served, "url": spare.url},
        },
        "models": {"m": {"deployment": "main"}},
    }
    with KeyedGateway(settings, tmp_path, Clock()) as gateway:
        gateway.stop_clock_of_breaks()
        yield gateway


def post(gateway: KeyedGateway, secret: str, text: str) -> str:
    """The note of the answer, which there always is: another deployment stands in."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "reasoning_effort": "none"}
    headers = {"authorization": f"Bearer {secret}"}
    answer = gateway.post(body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.headers.get(NOTE, "")


@pytest.mark.parametrize("text", ["poison", "crash", "greedy"])
def test_one_clients_failures_open_no_circuit_for_others(
    gateway: KeyedGateway, backend: ScriptedBackend, text: str
) -> None:
    ann, ben, cem, dan = (gateway.key() for _ in range(4))
    for number in range(3 * FAILURES):
        assert "used the fallback spare" in post(gateway, ann, f"{text} {number}")
    assert len(backend.requests) < 3 * FAILURES, "for that client it is open"
    for _ in range(2):
        assert post(gateway, ben, "Hi") == "", "the others are answered where they should be"
    for secret in (cem, dan, cem):
        post(gateway, secret, f"{text} once more")
    assert "used the fallback" in post(gateway, gateway.key(), "Hi"), "failures of two clients are evidence"


def test_each_key_has_a_prefix_cache_of_its_own(gateway: KeyedGateway, backend: ScriptedBackend) -> None:
    """The same for one key, whatever way it comes; another one for the next, and none that its id tells."""
    ann, ben = gateway.key(), gateway.key()
    for secret in (ann, ben):
        headers = {"authorization": f"Bearer {secret}"}
        for path, more in (
            ("chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
            ("completions", {"prompt": "Hi"}),
            ("responses", {"input": "Hi"}),
            ("messages", {"max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]}),
        ):
            answer = gateway.post({"model": "m", **more}, f"/v1/{path}", headers=headers)
            assert answer.status_code == 200, answer.text
    salts = [request.body["cache_salt"] for request in backend.requests]
    assert len(set(salts[:4])) == len(set(salts[4:])) == 1 and salts[0] != salts[4]
    assert len(salts[0]) >= 43 and ann.split("-")[1] not in salts[0]


def test_caches_are_shared_where_the_operator_says_so(backend: ScriptedBackend, tmp_path: Path) -> None:
    served = {"url": backend.url, "model": "m", "family": "qwen3", "verify": False, "cache_salt": False}
    settings = {"deployments": {"main": served}, "models": {"m": {"deployment": "main"}}}
    with KeyedGateway(settings, tmp_path, Clock()) as gateway:
        assert post(gateway, gateway.key(), "Hi") == "" and "cache_salt" not in backend.last


def test_whom_a_replica_failed(tmp_path: Path) -> None:
    replica = Replica("http://a/v1")
    for _ in range(10):
        replica.failed(0.0, "ann")
    assert (replica.open(0.5, "ann"), replica.open(0.5, "ben"), replica.open(0.5)) == (False, True, True)
    replica.succeeded("ben")
    replica.failed(0.5, "ben")
    replica.failed(0.5, "ben")
    assert replica.open(0.5, "cem"), "one client's, since the last success"
    replica.failed(0.5, "ann")
    assert not replica.open(0.5, "cem") and not replica.open(0.5)
    assert replica.open(0.5 + 2 * FIRST_BREAK_S, "cem")
    for number in range(3 * MOST_CLIENTS):
        replica.failed(9.0, f"client {number}")
    assert len(replica._clients) <= MOST_CLIENTS and len(replica._run) <= MOST_CLIENTS


def test_a_replica_that_cannot_be_reached_is_left_alone_by_all() -> None:
    replica = Replica("http://a/v1")
    for _ in range(FAILURES):
        replica.failed(0.0)
    assert not replica.open(0.0, "anybody")


def test_what_one_client_brings_up_counts_for_that_one_and_not_for_ever() -> None:
    now = [0.0]
    evidence = Evidence(lambda: now[0])
    for _ in range(10):
        evidence.against("ann")
    assert evidence.holds("ann") and not evidence.holds("ben")
    evidence.against("ben")
    assert evidence.holds("ben") and evidence.holds("cem"), "two have seen it"
    now[0] = LASTS_S
    assert not evidence.holds("ann"), "it is tried again"


def test_one_clients_bad_requests_turn_no_probes_off() -> None:
    capabilities, now = Capabilities(), [0.0]
    capabilities.clock = lambda: now[0]
    deployment = Deployment("d", ("http://a/v1",), "m", family("qwen3"))
    ann, ben, cem = (Call("r", "chat", "m", {"messages": []}, key=key) for key in ("ann", "ben", "cem"))
    capabilities.note_logprobs_refused(deployment, ann)
    for _ in range(2 * TIMES):
        capabilities.note_logprobs(deployment, ann, present=False)
    assert not capabilities.has_logprobs(deployment, ann)
    assert capabilities.has_logprobs(deployment, ben)
    capabilities.note_logprobs_refused(deployment, ben)
    assert not capabilities.has_logprobs(deployment, cem)
    capabilities.note_logprobs(deployment, cem, present=True)
    assert all(capabilities.has_logprobs(deployment, call) for call in (ann, ben, cem)), "it can, whoever asks"
    capabilities.note_logprobs_refused(deployment, ann)
    now[0] = LASTS_S
    assert capabilities.has_logprobs(deployment, ann), "it is asked again after a while"


def test_one_clients_slow_answers_slow_the_forecasts_for_others_by_its_share() -> None:
    alone, shared, without = LatencyModel(0.1, 0.0), LatencyModel(0.1, 0.0), LatencyModel(0.1, 0.0)
    for _ in range(100):
        alone.learn(Timing(10.0, 100.0, 1, "ann"))
        without.learn(Timing(10.0, 100.0, 1))
        shared.learn(Timing(0.1, 1.0, 1, "ben"))
        for _ in range(5):
            shared.learn(Timing(10.0, 100.0, 1, "ann"))
    assert alone.answer_s == without.answer_s and 99 < alone.answer_s < 100
    assert 49 < shared.answer_s < 52 and 4.9 < shared.ttft_s < 5.2, "half of it, however many they are"
    for _ in range(RECENT + 1):
        shared.learn(Timing(0.1, 1.0, 1, "ben"))
    assert shared.answer_s < 2, "whoever has not been here for long is forgotten"


def test_where_nobody_has_a_key_requests_are_told_apart() -> None:
    capabilities = Capabilities()
    deployment = Deployment("d", ("http://a/v1",), "m", family("qwen3"))
    one, other = (Call("r", "chat", "m", {"messages": [{"content": text}]}) for text in "ab")
    capabilities.note_logprobs_refused(deployment, one)
    assert not capabilities.has_logprobs(deployment, one) and capabilities.has_logprobs(deployment, other)

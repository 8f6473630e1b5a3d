"""What one key was given or has made is out of another one's reach, on every route that takes a name or a seal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.auth.limits import NewKey
from tests.gateway.anthropics import COUNT, HI, MESSAGES
from tests.gateway.conftest import table
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.scripted import ScriptedBackend

RESPONSES, CHAT = "/v1/responses", "/v1/chat/completions"
# Its family takes the thoughts of earlier turns.
ASK: dict[str, Any] = {"model": "plain", "input": "hi"}
THOUGHT = "two and two"


class Tenant:
    """A client with a key."""

    def __init__(self, gateway: KeyedGateway, secret: str) -> None:
        self._client = gateway.http(headers={"authorization": f"Bearer {secret}"})

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self._client.post(path, json=body)

    def ask(self, method: str, path: str) -> httpx.Response:
        return self._client.request(method, path)

    def close(self) -> None:
        self._client.close()


@pytest.fixture(scope="module")
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(backend: ScriptedBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedGateway]:
    with KeyedGateway(table(backend.url), tmp_path_factory.mktemp("tenancy"), Clock()) as running:
        yield running


@pytest.fixture
def tenants(gateway: KeyedGateway) -> Iterator[tuple[Tenant, Tenant]]:
    both = Tenant(gateway, gateway.key()), Tenant(gateway, gateway.key())
    yield both
    for one in both:
        one.close()


def error(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    told = answer.json()["error"]
    return answer.status_code, told.get("param"), told.get("code")


def test_no_route_reaches_anothers_response(tenants: tuple[Tenant, Tenant], backend: ScriptedBackend) -> None:
    mine, theirs = tenants
    first = mine.post(RESPONSES, **ASK).json()
    id, item = first["id"], first["output"][0]["id"]
    sent = len(backend.requests)
    for method, path in (
        ("GET", f"{RESPONSES}/{id}"),
        ("GET", f"{RESPONSES}/{id}?include=reasoning.encrypted_content"),
        ("GET", f"{RESPONSES}/{id}/input_items"),
        ("POST", f"{RESPONSES}/{id}/cancel"),
        ("DELETE", f"{RESPONSES}/{id}"),
    ):
        answer = theirs.ask(method, path)
        assert error(answer) == (404, "response_id", "response_not_found"), path
        nobody = theirs.ask(method, path.replace(id, f"resp_{'0' * 48}"))
        assert nobody.text.replace("0" * 48, id[5:]) == answer.text, "whether it is there cannot be told"
    answer = theirs.post(RESPONSES, **ASK, previous_response_id=id)
    assert error(answer) == (400, "previous_response_id", "previous_response_not_found")
    for reference in ({"type": "item_reference", "id": item}, {"type": "reasoning", "id": item, "summary": []}):
        answer = theirs.post(RESPONSES, model="plain", input=[reference])
        assert error(answer) == (404, "input[0].id", "item_not_found")
    assert len(backend.requests) == sent
    assert mine.ask("GET", f"{RESPONSES}/{id}").json()["id"] == id


@pytest.mark.parametrize("stream", [False, True])
def test_no_dialect_opens_anothers_thought(
    tenants: tuple[Tenant, Tenant], backend: ScriptedBackend, stream: bool
) -> None:
    mine, theirs = tenants
    sealed = mine.post(RESPONSES, **ASK, include=["reasoning.encrypted_content"]).json()["output"][0]
    shown, omitted = (
        mine.post(MESSAGES, model="plain", max_tokens=500, messages=HI, thinking=thinking).json()["content"][0]
        for thinking in ({"type": "adaptive"}, {"type": "adaptive", "display": "omitted"})
    )
    assert shown["thinking"] == THOUGHT and omitted["thinking"] == ""
    item = {"type": "reasoning", "id": "rs_x", "summary": []}
    blocks: tuple[dict[str, Any], ...] = (
        shown,
        omitted,
        {"type": "redacted_thinking", "data": omitted["signature"]},
        {**omitted, "signature": sealed["encrypted_content"]},
    )
    sent = len(backend.requests)
    for seal in (sealed["encrypted_content"], omitted["signature"]):
        body = {"model": "plain", "stream": stream, "input": [{**item, "encrypted_content": seal}, *HI]}
        answer = theirs.post(RESPONSES, **body)
        assert error(answer) == (400, "input[0].encrypted_content", "invalid_encrypted_content")
        assert "key" in answer.json()["error"]["message"] and len(backend.requests) == sent
    for block in blocks:
        body = {"model": "plain", "messages": [*HI, {"role": "assistant", "content": [block]}, *HI]}
        for path, rest in ((MESSAGES, {"max_tokens": 500, "stream": stream}), (COUNT, {})):
            answer = theirs.post(path, **body, **rest)
            field = "data" if "data" in block else "signature"
            assert error(answer) == (400, f"messages.1.content.0.{field}", "invalid_signature")
        assert len(backend.requests) == sent
        assert mine.post(MESSAGES, **body, max_tokens=500).status_code == 200
        assert backend.last["messages"][1]["reasoning"] == THOUGHT
        sent = len(backend.requests)


def test_a_rotated_key_opens_what_it_was_given(gateway: KeyedGateway, backend: ScriptedBackend) -> None:
    key, old = gateway.keys.create(NewKey.read({"name": "rotated"}))
    before = Tenant(gateway, old)
    sealed = before.post(RESPONSES, **ASK, include=["reasoning.encrypted_content"]).json()
    after = Tenant(gateway, gateway.keys.rotate(key.id, 0.0)[1])
    item = {
        "type": "reasoning",
        "id": "rs_x",
        "summary": [],
        "encrypted_content": sealed["output"][0]["encrypted_content"],
    }
    assert after.post(RESPONSES, model="plain", input=[item, *HI]).status_code == 200
    assert backend.last["messages"][0]["reasoning"] == THOUGHT
    assert after.ask("GET", f"{RESPONSES}/{sealed['id']}").status_code == 200
    before.close()
    after.close()


def test_a_thought_of_another_model_is_left_out_and_told(
    tenants: tuple[Tenant, Tenant], backend: ScriptedBackend
) -> None:
    """Clients change the model in the middle of a conversation: that is no error of theirs."""
    mine, _ = tenants
    sealed = mine.post(RESPONSES, **ASK, include=["reasoning.encrypted_content"]).json()["output"][0]
    item = {"type": "reasoning", "id": "rs_x", "summary": [], "encrypted_content": sealed["encrypted_content"]}
    answer = mine.post(RESPONSES, model="fixed", input=[item, item, *HI])
    assert answer.status_code == 200 and "2 thoughts of another model left out" in answer.headers["x-thinkgate-note"]
    assert THOUGHT not in str(backend.last)
    kept = mine.ask("GET", f"{RESPONSES}/{answer.json()['id']}/input_items").text
    assert THOUGHT not in kept
    thought = mine.post(MESSAGES, model="plain", max_tokens=500, messages=HI, thinking={"type": "adaptive"}).json()
    turns = [*HI, {"role": "assistant", "content": thought["content"]}, *HI]
    answer = mine.post(MESSAGES, model="fixed", max_tokens=500, messages=turns)
    assert answer.status_code == 200 and "1 thought of another model left out" in answer.headers["x-thinkgate-note"]
    assert backend.last["messages"][1] == {"role": "assistant", "content": "four"}


def test_no_key_names_anothers_request_at_a_backend(gateway: KeyedGateway, backend: ScriptedBackend) -> None:
    """Engines mix up, or refuse, two running requests of one id; and the next client may choose the same."""
    with gateway.http(headers={"authorization": f"Bearer {gateway.key()}"}) as client:
        for _ in range(2):
            answer = client.post(CHAT, json={"model": "plain", "messages": HI}, headers={"x-request-id": "mine"})
            assert answer.headers["x-request-id"] == "mine"
    first, second = (request.headers["x-request-id"] for request in backend.requests[-2:])
    assert first.startswith("mine-") and second.startswith("mine-") and first != second


def test_users_of_the_same_name_are_not_the_same(backend: ScriptedBackend, tmp_path: Path) -> None:
    """What an experiment assigns, and what a record keeps of it, is a key's own."""
    with KeyedGateway(table(backend.url), tmp_path, Clock()) as gateway:  # reading its records stops it
        for tenant in (Tenant(gateway, gateway.key()), Tenant(gateway, gateway.key())):
            for _ in range(2):
                tenant.post(CHAT, model="plain", messages=HI, user="somebody")
            tenant.close()
        units = [row["unit"] for row in gateway.records()]
    assert len(units) == 4 and units[0] == units[1] != units[2] == units[3]

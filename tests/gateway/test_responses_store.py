"""What is kept of /v1/responses: for whom, for how long, how much of it, and how a conversation goes on from it."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.api.responses.ids import new_response_id
from gateway.api.responses.store import ResponseStore, StoreLimits
from gateway.api.responses.turn import Turn
from gateway.core.errors import ConfigError, InvalidRequest
from tests.gateway import response_events
from tests.gateway.conftest import Start, table
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.processes import Process
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend
from tests.patience import PATIENCE_S

PATH = "/v1/responses"
ASK: dict[str, Any] = {"model": "merged", "input": "hi"}
NOBODY = f"resp_{'0' * 48}"
ROOMY = StoreLimits(items=100, bytes=1_000_000, age_s=1000.0, history_bytes=100_000)


def turn(previous: Turn | None = None, text: str = "hi") -> Turn:
    id = new_response_id()
    item = {"type": "message", "role": "user", "id": f"msg_{id}", "content": [{"type": "input_text", "text": text}]}
    return Turn(id, previous.root if previous else id, previous.id if previous else None, [item], {"output": []})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[ResponseStore]:
    opened = ResponseStore(tmp_path / "kept.db", ROOMY, clock)
    opened.open()
    yield opened
    opened.close()


def of(store: ResponseStore, path: Path, clock: Clock, **bounds: Any) -> ResponseStore:
    """Another worker's, with other bounds."""
    other = ResponseStore(path / "kept.db", replace(ROOMY, **bounds), clock)
    other.open()
    return other


async def test_what_is_put_is_there_for_its_key_alone(store: ResponseStore) -> None:
    mine, anybodys = turn(), turn()
    assert await store.put(mine, "k1") and await store.put(anybodys, None)
    assert await store.get(mine.id, "k1") == mine and await store.history(mine.id, "k1") == [mine]
    for key in ("k2", None):
        assert await store.get(mine.id, key) is None
        assert await store.history(mine.id, key) is None
        assert not await store.delete(mine.id, key)
    assert await store.get(anybodys.id, None) == anybodys and await store.get(anybodys.id, "k1") is None
    assert await store.delete(mine.id, "k1") and not await store.delete(mine.id, "k1")
    assert await store.get(mine.id, "k1") is None


async def test_a_conversation_is_there_whole_or_not_at_all(store: ResponseStore) -> None:
    turns = [turn()]
    for _ in range(4):
        turns.append(turn(turns[-1]))
    for one in turns:
        await store.put(one, "k1")
    assert await store.history(turns[-1].id, "k1") == turns
    assert await store.history(turns[2].id, "k1") == turns[:3]
    last = turn(turn())
    await store.put(last, "k1")
    assert await store.history(last.id, "k1") is None, "the turn before it was never there"


async def test_those_that_go_on_from_a_deleted_response_go_on(store: ResponseStore, tmp_path: Path) -> None:
    """It is gone for whoever names it; what its successors were told is kept for them, and goes with the last one."""
    first = turn(text="a first secret")
    middle = turn(first, text="a middle secret")
    ends = [turn(middle), turn(middle)]
    for one in (first, middle, *ends):
        await store.put(one, "k1")
    assert await store.delete(middle.id, "k1") and not await store.delete(middle.id, "k1")
    assert await store.get(middle.id, "k1") is None and await store.history(middle.id, "k1") is None
    assert await store.several([middle.id], "k1") == []
    assert await store.history(ends[0].id, "k1") == [first, middle, ends[0]]
    assert await store.delete(ends[0].id, "k1")
    assert await store.history(ends[1].id, "k1") == [first, middle, ends[1]]
    assert await store.delete(ends[1].id, "k1")
    assert await store.history(first.id, "k1") == [first]
    store.close()
    content = (tmp_path / "kept.db").read_bytes()
    assert b"a middle secret" not in content and b"a first secret" in content


async def test_nobody_goes_on_from_another_keys_conversation(store: ResponseStore) -> None:
    first = turn()
    await store.put(first, "k1")
    stolen = turn(first)
    await store.put(stolen, "k2")
    assert await store.history(stolen.id, "k2") is None


async def test_what_was_used_last_stays(store: ResponseStore, tmp_path: Path, clock: Clock) -> None:
    with closing(of(store, tmp_path, clock, items=3)) as small:
        turns = [turn() for _ in range(4)]
        for one in turns[:3]:
            await small.put(one, None)
            clock.now += 1
        await small.get(turns[0].id, None)
        clock.now += 1
        await small.put(turns[3], None)
        assert [await small.get(one.id, None) is not None for one in turns] == [True, False, True, True]


async def test_a_flood_of_one_key_evicts_only_its_own(store: ResponseStore, tmp_path: Path, clock: Clock) -> None:
    """Up to an equal share: then the key that has most gives way, whoever writes."""
    with closing(of(store, tmp_path, clock, items=30)) as small:
        quiet = [turn() for _ in range(10)]
        for one in quiet:
            await small.put(one, "quiet")
        for _ in range(100):
            clock.now += 1
            await small.put(turn(), "loud")
        assert all([await small.get(one.id, "quiet") == one for one in quiet])
        third = [turn() for _ in range(15)]
        for one in third:
            clock.now += 1
            assert await small.put(one, "third")
        assert [await small.get(one.id, "third") is not None for one in third] == [False] * 5 + [True] * 10
        assert all([await small.get(one.id, "quiet") == one for one in quiet])


async def test_a_key_has_no_more_than_its_share(store: ResponseStore, tmp_path: Path, clock: Clock) -> None:
    with closing(of(store, tmp_path, clock, items=20, bytes=20_000, key_share=0.5)) as small:
        turns = [turn() for _ in range(15)]
        for one in turns:
            clock.now += 1
            assert await small.put(one, "k")
        assert [await small.get(one.id, "k") is not None for one in turns] == [False] * 5 + [True] * 10
        assert not await small.put(turn(text="x" * 10_000), "k") and await small.get(turns[-1].id, "k")
        assert await small.put(turn(text="x" * 10_000), None), "where no keys are asked for there are no shares"


async def test_a_conversation_that_fills_all_there_is_grows_no_more(
    store: ResponseStore, tmp_path: Path, clock: Clock
) -> None:
    """It is never cut at its beginning: of what is kept, each conversation is whole."""
    with closing(of(store, tmp_path, clock, items=3)) as small:
        turns = [turn()]
        for _ in range(3):
            turns.append(turn(turns[-1]))
        assert [await small.put(one, "k") for one in turns] == [True, True, True, False]
        assert await small.history(turns[2].id, "k") == turns[:3]
        clock.now += 1
        other = turn()
        assert await small.put(other, "k")
        assert await small.history(turns[1].id, "k") == turns[:2] and await small.get(turns[2].id, "k") is None


async def test_long_conversations_are_written_once(store: ResponseStore, tmp_path: Path, clock: Clock) -> None:
    """Each turn writes what is new and no more, however long the conversation is: a reader keeps the log from being
    begun anew, so that its size is all that was written.
    """
    with (
        closing(of(store, tmp_path, clock, bytes=10**9, history_bytes=10**9)) as long,
        closing(sqlite3.connect(tmp_path / "kept.db")) as reader,
    ):
        log = tmp_path / "kept.db-wal"
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM kept").fetchall()
        last = turn(text="x" * 20_000)
        await long.put(last, "k")
        sizes = [log.stat().st_size]
        for _ in range(2):
            for _ in range(30):
                clock.now += 1
                assert await long.history(last.id, "k")
                last = turn(last, text="x" * 20_000)
                await long.put(last, "k")
            sizes.append(log.stat().st_size)
    first, second = sizes[1] - sizes[0], sizes[2] - sizes[1]
    assert second < 1.3 * first and first < 30 * 20_000 * 5


async def test_a_conversation_of_too_many_turns_is_refused(store: ResponseStore, tmp_path: Path, clock: Clock) -> None:
    with closing(of(store, tmp_path, clock, history_turns=2)) as short:
        turns = [turn()]
        for _ in range(2):
            turns.append(turn(turns[-1]))
        for one in turns:
            await short.put(one, None)
        assert await short.history(turns[1].id, None) == turns[:2]
        with pytest.raises(InvalidRequest, match="has 3 responses, and at most 2") as refused:
            await short.history(turns[2].id, None)
        assert (refused.value.param, refused.value.code) == ("previous_response_id", "context_length_exceeded")


async def test_bytes_are_bounded_and_what_is_too_large_is_not_kept(
    store: ResponseStore, tmp_path: Path, clock: Clock
) -> None:
    with closing(of(store, tmp_path, clock, bytes=10_000)) as small:
        kept = turn()
        assert await small.put(kept, None)
        assert not await small.put(turn(text="x" * 10_000), None)
        assert await small.get(kept.id, None) == kept, "nothing goes for what cannot be kept"
        for _ in range(20):
            clock.now += 1
            assert await small.put(turn(text="x" * 3000), None)
        with closing(sqlite3.connect(tmp_path / "kept.db")) as database:
            told = database.execute("SELECT items, bytes FROM kept").fetchone()
            found = database.execute("SELECT count(*), sum(length(input) + length(response)) FROM responses").fetchone()
        assert told == found and found[1] <= 10_000


async def test_what_was_not_used_for_too_long_is_gone(store: ResponseStore, clock: Clock) -> None:
    old, used = turn(), turn()
    await store.put(old, None)
    await store.put(used, None)
    clock.now += 999
    assert await store.history(used.id, None)
    clock.now += 2
    assert await store.get(old.id, None) is None and await store.history(old.id, None) is None
    assert await store.get(used.id, None) == used
    await store.put(turn(), None)
    assert await store.delete(used.id, None) and not await store.delete(old.id, None)


async def test_a_conversation_that_is_too_long_is_refused(store: ResponseStore) -> None:
    last = turn(text="x" * 40_000)
    await store.put(last, None)
    for _ in range(2):
        last = turn(last, text="x" * 40_000)
        await store.put(last, None)
    with pytest.raises(InvalidRequest) as refused:
        await store.history(last.id, None)
    assert refused.value.param == "previous_response_id"
    apart = [turn(text="x" * 40_000) for _ in range(3)]
    for one in apart:
        await store.put(one, None)
    ids = [one.id for one in apart]
    assert await store.several([*ids[:2], NOBODY, "x"], None) == apart[:2]
    with pytest.raises(InvalidRequest) as refused:
        await store.several(ids, None)
    assert refused.value.param == "input"


def test_what_is_referred_to_counts_each_time(backend: ScriptedBackend, start: Start) -> None:
    """Ids are short, and what they stand for is not: a request is no longer than its limit with all of it in it."""
    gateway = start({**table(backend.url), "server": {"max_body_bytes": 100_000}})
    first = gateway.post({**ASK, "input": "x" * 30_000}, PATH).json()
    asked = gateway.get(f"{PATH}/{first['id']}/input_items").json()["data"][0]["id"]
    sent = len(backend.requests)
    for count, status in ((3, 200), (4, 400), (1000, 400)):
        answer = gateway.post({**ASK, "input": [{"type": "item_reference", "id": asked}] * count}, PATH)
        assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == ("input", "context_length_exceeded")
    assert len(backend.requests) == sent + 1


async def test_workers_share_it_and_its_bounds(store: ResponseStore, tmp_path: Path, clock: Clock) -> None:
    stores = [of(store, tmp_path, clock, items=10) for _ in range(4)]
    turns = [[turn() for _ in range(20)] for _ in stores]
    await asyncio.gather(*(a.put(one, "k") for a, mine in zip(stores, turns, strict=True) for one in mine))
    found = [[await a.get(one.id, "k") is not None for mine in turns for one in mine] for a in stores]
    assert all(sum(seen) == 10 and seen == found[0] for seen in found)
    for opened in stores:
        opened.close()


def test_workers_may_start_together(tmp_path: Path, clock: Clock) -> None:
    def start(path: Path) -> None:
        store = ResponseStore(path, ROOMY, clock)
        store.open()
        store.close()

    with ThreadPoolExecutor(8) as workers:
        for round in range(10):
            for started in [workers.submit(start, tmp_path / f"{round}.db") for _ in range(8)]:
                started.result()


async def test_what_is_too_old_is_gone_from_the_disk_at_the_start(
    store: ResponseStore, tmp_path: Path, clock: Clock
) -> None:
    await store.put(turn(), None)
    clock.now += 1001
    of(store, tmp_path, clock).close()
    with closing(sqlite3.connect(tmp_path / "kept.db")) as database:
        assert database.execute("SELECT items, bytes FROM kept").fetchone() == (0, 0)


async def test_a_file_that_is_no_store_stops_the_start(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "kept.db"
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(ConfigError, match=r"responses\.path"):
        ResponseStore(path, ROOMY, clock).open()


def kept(gateway: RunningGateway) -> Path:
    return Path(f"{gateway.database}.responses")


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_is_kept_before_its_last_byte_leaves(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, stream: bool
) -> None:
    with scripted_gateway.sdk() as client:
        answer: Any = client.responses.create(**ASK, stream=stream)
        if stream:
            for event in answer:
                if event.type == "response.completed":
                    answer = event.response
                    break
        assert client.responses.retrieve(answer.id).to_dict() == answer.to_dict()
        again = client.responses.create(model="merged", input="and?", previous_response_id=answer.id)
        assert again.previous_response_id == answer.id
    assert [message["role"] for message in backend.last["messages"]] == ["user", "assistant", "user"]
    assert stat.S_IMODE(kept(scripted_gateway).stat().st_mode) == 0o600


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_to_be_kept_is_not(scripted_gateway: RunningGateway, stream: bool) -> None:
    answer = scripted_gateway.post({**ASK, "input": "a secret", "store": False, "stream": stream}, PATH)
    body = response_events.check(response_events.read(answer.content)) if stream else answer.json()
    assert body["store"] is False
    with scripted_gateway.sdk() as client:
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(body["id"])
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(**ASK, previous_response_id=body["id"])
    assert (refused.value.param, refused.value.code) == ("previous_response_id", "previous_response_not_found")
    scripted_gateway.stop()
    assert b"a secret" not in kept(scripted_gateway).read_bytes()


def test_a_gateway_can_keep_nothing(backend: ScriptedBackend, start: Start) -> None:
    gateway = start({**table(backend.url), "responses": {"store": False}})
    body = gateway.post({**ASK, "store": True}, PATH).json()
    assert body["store"] is False
    assert gateway.get(f"{PATH}/{body['id']}").status_code == 404
    assert gateway.post({**ASK, "previous_response_id": body["id"]}, PATH).status_code == 400
    assert not kept(gateway).exists()


def test_a_disk_that_refuses_costs_no_answer(scripted_gateway: RunningGateway) -> None:
    first = scripted_gateway.post(ASK, PATH).json()
    with closing(sqlite3.connect(kept(scripted_gateway))) as database:
        database.execute("ALTER TABLE responses RENAME TO gone")
        database.commit()
    assert first["store"] is True
    for stream in (False, True):
        answer = scripted_gateway.post({**ASK, "stream": stream}, PATH)
        body = response_events.check(response_events.read(answer.content)) if stream else answer.json()
        assert body["status"] == "completed" and body["store"] is False
    refused = scripted_gateway.post({**ASK, "previous_response_id": first["id"]}, PATH)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_unavailable")


def test_instructions_are_not_carried_over(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    first = scripted_gateway.post({**ASK, "instructions": "Be brief."}, PATH).json()
    scripted_gateway.post({**ASK, "previous_response_id": first["id"]}, PATH)
    assert [message["role"] for message in backend.last["messages"]] == ["user", "assistant", "user"]
    scripted_gateway.post({**ASK, "previous_response_id": first["id"], "instructions": "Be kind."}, PATH)
    assert backend.last["messages"][0] == {"role": "system", "content": "Be kind."}
    assert len(backend.last["messages"]) == 4


def test_a_conversation_can_fork_and_change_its_model(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    """From a merged model to a split pair and back: what was said goes along."""
    with scripted_gateway.sdk() as client:
        root = client.responses.create(**ASK).id
        for model, word in (("split", "left"), ("merged", "right")):
            one = client.responses.create(model=model, input=word, previous_response_id=root)
            client.responses.create(model="plain", input="on", previous_response_id=one.id)
            told = [message["content"] for message in backend.last["messages"] if message["role"] == "user"]
            assert told == ["hi", word, "on"]
            thoughts = [message.get("reasoning") for message in backend.last["messages"]]
            assert thoughts == [None, "two and two", None, "two and two", None]


def test_items_can_be_referred_to(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    """By their id alone, and a thought by its id without a text."""
    with scripted_gateway.sdk() as client:
        first = client.responses.create(**ASK)
        thought, message = first.output
        asked = client.responses.input_items.list(first.id).data[0]
        items: Any = [
            {"type": "item_reference", "id": asked.id},
            {"type": "reasoning", "id": thought.id, "summary": []},
            {"id": message.id},
            {"role": "user", "content": "and?"},
        ]
        client.responses.create(model="plain", input=items)
    assert backend.last["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "four", "reasoning": "two and two"},
        {"role": "user", "content": "and?"},
    ]


def test_the_input_items_are_all_that_the_model_was_told(scripted_gateway: RunningGateway) -> None:
    with scripted_gateway.sdk() as client:
        first = client.responses.create(**ASK)
        second = client.responses.create(model="merged", input="and?", previous_response_id=first.id)
        pages = client.responses.input_items.list(second.id, order="asc", limit=2)
        assert [item.type for item in pages.data] == ["message", "reasoning"] and pages.has_more
        items: list[Any] = [*pages]
        assert [item.type for item in items] == ["message", "reasoning", "message", "message"]
        assert items[0].content[0].text == "hi" and items[-1].content[0].text == "and?"
        latest = client.responses.input_items.list(second.id)
        assert [item.id for item in latest.data] == [item.id for item in reversed(items)]
    for query, param in (("limit=0", "limit"), ("limit=x", "limit"), ("order=up", "order"), ("after=x", "after")):
        answer = scripted_gateway.get(f"{PATH}/{second.id}/input_items?{query}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_what_is_deleted_is_gone_for_good(scripted_gateway: RunningGateway) -> None:
    asked = {**ASK, "input": "a secret of some length"}
    id = scripted_gateway.post(asked, PATH).json()["id"]
    url = f"{PATH}/{id}"
    deleted = scripted_gateway.request("DELETE", url)
    assert deleted.json() == {"id": id, "object": "response", "deleted": True}
    assert [scripted_gateway.request(method, url).status_code for method in ("DELETE", "GET")] == [404, 404]
    assert scripted_gateway.post({**ASK, "previous_response_id": id}, PATH).status_code == 400
    scripted_gateway.stop()
    assert b"a secret of some length" not in kept(scripted_gateway).read_bytes()


def test_a_thought_can_be_sealed_later(scripted_gateway: RunningGateway) -> None:
    with scripted_gateway.sdk() as client:
        id = client.responses.create(**ASK).id
        kept: Any = client.responses.retrieve(id, include=["reasoning.encrypted_content"]).output[0]
        assert scripted_gateway.parts.seal.bound(None, "merged").open(kept.encrypted_content) == "two and two"
        kept = client.responses.retrieve(id, include=["message.output_text.logprobs"]).output[0]
        assert kept.encrypted_content is None
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.retrieve(id, include=["reasoning"])  # type: ignore[list-item]
    assert refused.value.param == "include[0]"


def test_gateways_that_share_their_files_share_conversations(backend: ScriptedBackend, start: Start) -> None:
    """As the workers of one host do: whatever one has kept or sealed, another goes on from."""
    with start(table(backend.url)).sdk() as one, start(table(backend.url)).sdk() as other:
        sealing: Any = {"store": False, "include": ["reasoning.encrypted_content"]}
        first = one.responses.create(model="plain", input="hi", **sealing).output[0].to_dict(exclude_unset=True)
        thought: Any = {name: value for name, value in first.items() if name != "content"}
        other.responses.create(model="plain", input=[thought, {"role": "user", "content": "and?"}])
        assert backend.last["messages"][0]["reasoning"] == "two and two"
        kept = one.responses.create(**ASK).id
        again = other.responses.create(model="merged", input="and?", previous_response_id=kept)
        assert one.responses.retrieve(again.id).previous_response_id == kept
    assert len(backend.last["messages"]) == 3


def test_nothing_can_be_cancelled_or_streamed_again(scripted_gateway: RunningGateway) -> None:
    with scripted_gateway.sdk() as client:
        id = client.responses.create(**ASK).id
        with pytest.raises(openai.BadRequestError, match="cancelled"):
            client.responses.cancel(id)
        with pytest.raises(openai.NotFoundError):
            client.responses.cancel(NOBODY)
        with pytest.raises(openai.BadRequestError, match="stream"):
            client.responses.retrieve(id, stream=True)


def test_each_key_has_its_own(backend: ScriptedBackend, tmp_path: Path, clock: Clock) -> None:
    with KeyedGateway(table(backend.url), tmp_path, clock) as gateway:
        mine, theirs = gateway.client(gateway.key()), gateway.client(gateway.key())
        with mine, theirs:
            first = mine.responses.create(**ASK, user="u")
            item: Any = {"type": "item_reference", "id": first.output[0].id}
            sent = len(backend.requests)
            for use in (
                lambda: theirs.responses.retrieve(first.id),
                lambda: theirs.responses.delete(first.id),
                lambda: theirs.responses.cancel(first.id),
                lambda: theirs.responses.input_items.list(first.id),
                lambda: theirs.responses.create(model="merged", input=[item]),
            ):
                with pytest.raises(openai.NotFoundError):
                    use()
            with pytest.raises(openai.BadRequestError) as refused:
                theirs.responses.create(**ASK, previous_response_id=first.id)
            assert refused.value.code == "previous_response_not_found" and len(backend.requests) == sent
            mine.responses.create(**ASK, previous_response_id=first.id)
            assert mine.responses.retrieve(first.id).id == first.id
        for path in (first.id, f"{first.id}/input_items"):
            assert gateway.get(f"{PATH}/{path}").status_code == 401


def test_serve_says_in_one_line_what_cannot_be_kept(config: Path) -> None:
    config.write_text(f'responses.path = "{config.parent}"\n{config.read_text("utf-8")}', "utf-8")
    with Process("--config", config, "--port", "0", cwd=config.parent) as gateway:
        assert gateway.popen.wait(PATIENCE_S) == 1
        assert gateway.errors().startswith(f"thinkgate: responses.path: {config.parent} cannot be used")
        assert gateway.errors().count("\n") == 1

"""What came by is the least that is charged, however a request ends; and it is the same figure everywhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.api_key_format import key_id
from gateway.auth.usage_row import UsageRow
from gateway.backends.chat_answer import read_usage
from gateway.core.usage import Usage
from gateway.execution.streaming.output_stats import OutputStats
from gateway.execution.streaming.tally import Tally
from tests.gateway.conftest import table
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.late import late
from tests.gateway.scripted import ANSWER, Connection, Script, ScriptedBackend, delta, sse
from tests.patience import PATIENCE_S, until

# Tokens that a backend writes, each in a piece of its own.
THOUGHT, ANSWERED = 400, 600
LAST = "the last piece"
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
EFFORTS: dict[str, dict[str, Any]] = {
    "chat": {"reasoning_effort": "high", "max_tokens": 20_000},
    "messages": {"thinking": {"type": "enabled", "budget_tokens": 8192}, "max_tokens": 20_000},
    "responses": {"reasoning": {"effort": "high", "summary": "auto"}, "max_output_tokens": 20_000},
}
OUTPUT_PRICE = 1000.0
# For all of an answer of the model `hasty`.
LIMIT_S = 600


async def hangs(connection: Connection) -> None:
    await connection.hung_up()


class Writer:
    """A backend that writes so much and then does as it is told: `ends` one of the keys of ENDS.

    `stalls` is what it does where it ends in silence.
    """

    def __init__(self) -> None:
        self.stalls: Script = hangs
        self.ends = "reports"
        self.working = threading.Semaphore(0)

    async def __call__(self, connection: Connection) -> None:
        if not connection.request.body.get("stream"):
            await self._plain(connection)
            return
        await connection.begin_stream()
        if connection.request.path.endswith("/v1/completions"):
            raw = [{"id": "c", "choices": [{"index": 0, "text": text}]} for text in ["so "] * ANSWERED + [LAST]]
            await connection.chunk(b"".join(map(sse, raw)))
            await connection.hung_up()
            return
        await connection.event(delta(role="assistant", content=""))
        pieces = [delta(reasoning="hm ")] * THOUGHT + [delta(content="so ")] * ANSWERED + [delta(content=LAST)]
        for at in range(0, len(pieces), 50):
            await connection.chunk(b"".join(map(sse, pieces[at : at + 50])))
        if self.ends == "hang-up":
            await connection.hung_up()
        elif self.ends == "breaks":
            connection.cut()
        elif self.ends == "stalls":
            await self.stalls(connection)
        else:
            await connection.event(delta("stop"))
            if USAGE[self.ends]:
                await connection.event({**delta(), "choices": [], "usage": USAGE[self.ends]})
            await connection.event("[DONE]")
            await connection.end_stream()

    async def _plain(self, connection: Connection) -> None:
        if self.ends in ("hang-up", "stalls"):
            self.working.release()
            await (self.stalls if self.ends == "stalls" else hangs)(connection)
            return
        message = {"role": "assistant", "reasoning": "hm " * THOUGHT, "content": "so " * ANSWERED}
        body = {**ANSWER, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        body["usage"] = USAGE[self.ends]
        await connection.answer(200, json.dumps(body).encode())


USAGE: dict[str, Any] = {
    "reports": {
        "prompt_tokens": 7,
        "completion_tokens": THOUGHT + ANSWERED + 4,
        "completion_tokens_details": {"reasoning_tokens": THOUGHT},
    },
    "nothing": None,
    "zero": {"prompt_tokens": 0, "completion_tokens": 0, "completion_tokens_details": {"reasoning_tokens": 0}},
    "less": {"prompt_tokens": 7, "completion_tokens": 50},
}


@pytest.fixture(scope="module")
def writer() -> Writer:
    return Writer()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, writer: Writer) -> Iterator[KeyedGateway]:
    with ScriptedBackend(writer) as backend:
        settings = table(backend.url)
        for name in ("hybrid", "instruct", "thinking", "other"):
            settings["deployments"][name] |= {"output_price": OUTPUT_PRICE, "read_timeout_s": PATIENCE_S}
        settings["deployments"]["hasty"] = {**settings["deployments"]["hybrid"], "total_timeout_s": LIMIT_S}
        levels = {"low": 32, "medium": 4096, "high": 8192}
        policy = {"policy": {"kind": "client"}, "levels": levels}
        settings["models"] = {
            "merged": {"deployment": "hybrid", **policy},
            "split": {"none": "instruct", "think": "thinking", **policy},
            "hasty": {"deployment": "hasty", **policy},
            "plain": {"deployment": "other"},
        }
        with KeyedGateway(settings, tmp_path_factory.mktemp("charging"), Clock()) as running:
            yield running


def body_of(dialect: str, model: str, stream: bool) -> dict[str, Any]:
    said = {"input": "hi"} if dialect == "responses" else {"messages": [{"role": "user", "content": "hi"}]}
    return {"model": model, **said, **EFFORTS[dialect], "stream": stream}


def send(
    gateway: KeyedGateway,
    secret: str,
    dialect: str,
    model: str,
    stream: bool,
    leave: bool = False,
    heard: threading.Event | None = None,
) -> None:
    """`leave`: hang up once the last piece is there; `heard` says when it is."""
    headers = {"authorization": f"Bearer {secret}"}
    with (
        gateway.http() as session,
        session.stream("POST", PATHS[dialect], json=body_of(dialect, model, stream), headers=headers) as answer,
    ):
        came = ""
        for text in answer.iter_text():
            came += text
            if heard and LAST in came:
                heard.set()
            if leave and LAST in came:
                return


def abandon(gateway: KeyedGateway, secret: str, dialect: str, writer: Writer) -> None:
    """Ask for a plain answer, and hang up when the backend is at work."""
    body = body_of(dialect, "merged", stream=False)
    with gateway.leaving(body, PATHS[dialect], headers={"authorization": f"Bearer {secret}"}):
        assert writer.working.acquire(timeout=PATIENCE_S)


def settled(gateway: KeyedGateway, secret: str) -> UsageRow:
    """What it has used, once nothing of it is under way."""
    key = gateway.keys.get(str(key_id(secret)))

    def row() -> UsageRow:
        return gateway.keys.counters.read(key.slot, gateway.keys.clock())

    until(lambda: row().all_requests and not row().running)
    counts = row()
    assert not any(counts.held)
    return counts


def test_what_came_is_charged_however_it_ends(gateway: KeyedGateway, writer: Writer) -> None:
    came = THOUGHT + ANSWERED + 1
    for ends, dialect, model in product(("reports", "nothing", "zero", "less", "breaks", "hang-up"), PATHS, MODELS):
        writer.ends = ends
        secret = gateway.key(tokens_per_minute=10**6, thinking_per_day=10**6, dollars_per_day=1000)
        send(gateway, secret, dialect, model, stream=True, leave=ends == "hang-up")
        counts = settled(gateway, secret)
        where = (ends, dialect, model)
        assert came <= counts.all_completion <= came + 20, where
        assert THOUGHT <= counts.day_used <= came + 20, where
        assert counts.all_prompt > 0 and counts.tokens == counts.all_prompt + counts.all_completion, where
        assert counts.day_dollars == pytest.approx(counts.all_completion * OUTPUT_PRICE / 1e6), where


MODELS = ("merged", "split")


def test_plain_answers_are_charged_by_what_they_hold(gateway: KeyedGateway, writer: Writer) -> None:
    for ends, dialect in product(("reports", "nothing", "zero", "less"), PATHS):
        writer.ends = ends
        secret = gateway.key(tokens_per_minute=10**6, thinking_per_day=10**6, dollars_per_day=1000)
        send(gateway, secret, dialect, "merged", stream=False)
        counts = settled(gateway, secret)
        # By four bytes a token, where nobody says, or says what cannot be.
        least = 3 * (THOUGHT + ANSWERED) // 4
        assert least <= counts.all_completion <= 2 * least and counts.day_used >= 3 * THOUGHT // 4, (ends, dialect)


def test_who_does_not_wait_for_a_plain_answer_pays_for_what_it_might_have_been(
    gateway: KeyedGateway, writer: Writer
) -> None:
    writer.ends = "hang-up"
    for dialect in PATHS:
        secret = gateway.key(tokens_per_minute=10**6, thinking_per_day=10**6, dollars_per_day=1000)
        abandon(gateway, secret, dialect, writer)
        counts = settled(gateway, secret)
        assert (counts.all_completion, counts.day_used) == (20_000, 8192), dialect
        assert counts.day_dollars == pytest.approx(20.0)


def test_what_a_time_limit_cuts_is_charged(gateway: KeyedGateway, writer: Writer) -> None:
    writer.ends = "stalls"
    for stream, completion in ((True, THOUGHT + ANSWERED + 1), (False, 20_000)):
        secret = gateway.key(tokens_per_minute=10**6)
        heard = threading.Event() if stream else None
        writer.stalls = late(gateway, hangs, LIMIT_S + 1, heard)
        send(gateway, secret, "chat", "hasty", stream=stream, heard=heard)
        assert settled(gateway, secret).all_completion == completion


def test_what_ends_in_a_later_window_is_charged_there(tmp_path: Path, backend: ScriptedBackend, writer: Writer) -> None:
    clock = Clock()
    settings = table(backend.url)
    settings["deployments"]["hybrid"] |= {"output_price": OUTPUT_PRICE}
    with KeyedGateway(settings, tmp_path, clock) as gateway:
        for step in (60, 3600, 86_400, 40 * 86_400):

            async def slow(connection: Connection, step: int = step) -> None:
                clock.now += step
                writer.ends = "reports"
                await writer(connection)

            backend.script = slow
            limits: dict[str, Any] = {"thinking_per_hour": 10**6, "thinking_per_day": 10**6, "dollars_per_month": 10**6}
            secret = gateway.key(tokens_per_minute=10**6, **limits)
            send(gateway, secret, "chat", "bounded", stream=True)
            counts = settled(gateway, secret)
            assert counts.tokens == 7 + THOUGHT + ANSWERED + 4
            assert (counts.hour_used, counts.day_used) == (THOUGHT, THOUGHT)
            assert counts.day_dollars == counts.month_dollars == pytest.approx((THOUGHT + ANSWERED + 4) / 1000)


def test_the_record_says_what_was_charged(tmp_path: Path, backend: ScriptedBackend, writer: Writer) -> None:
    backend.script = writer
    settings = table(backend.url)
    settings["deployments"]["hybrid"] |= {"output_price": OUTPUT_PRICE}
    with KeyedGateway(settings, tmp_path, Clock()) as gateway:
        charged = []
        for ends in ("hang-up", "nothing", "zero"):
            writer.ends = ends
            secret = gateway.key(tokens_per_minute=10**6)
            send(gateway, secret, "chat", "bounded", stream=True, leave=ends == "hang-up")
            counts = settled(gateway, secret)
            charged.append((counts.all_prompt, counts.all_completion, counts.all_dollars))
        rows = gateway.records()
    assert [(row["prompt_tokens"], row["completion_tokens"], row["cost"]) for row in rows] == charged


@pytest.mark.parametrize(
    ("pieces", "tokens", "least"),
    [
        ([], 0, 0),
        (["", ""], 0, 0),
        (["four "] * 100, 100, 100),  # a token each
        (["two of them"] * 100, 275, 100),  # several
        (["x" * 4000], 1000, 250),  # all at once
        ([*["four "] * 1000, "x" * 4000], 2000, 1001),  # a tool call after a text
        (["日本語"] * 100, 225, 100),
    ],
)
def test_tokens_that_nobody_reports(pieces: list[str], tokens: int, least: int) -> None:
    tally = Tally()
    for piece in pieces:
        tally.add(piece)
    assert (tally.tokens, tally.least) == (tokens, least)
    assert tally.reconciled(None) == tokens and tally.reconciled(0) >= 0
    assert tally.reconciled(10**6) == 10**6


def test_all_that_a_delta_can_carry_counts() -> None:
    call = {"index": 0, "function": {"name": "weather", "arguments": '{"at": 1}'}}
    for carried, pieces in (
        ({"content": "a"}, 1),
        ({"reasoning": "a"}, 1),
        ({"reasoning_content": "a", "content": "b"}, 2),
        ({"refusal": "no"}, 1),
        ({"content": "", "refusal": "no"}, 1),
        ({"tool_calls": [call, call]}, 4),
        ({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}, 1),
        ({"tool_calls": [{"function": None}, 7, {"function": {"arguments": 5}}]}, 0),
        ({"role": "assistant", "content": ""}, 0),
        ({"function_call": {"name": "weather", "arguments": "{"}}, 2),
        ({"tool_calls": [{"index": 0, "custom": {"name": "sql", "input": "select"}}]}, 2),
        ({"content": [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "b"}, 7]}, 2),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}, None]}]}, 1),
    ):
        seen = OutputStats()
        seen.delta(carried)
        assert seen.all.pieces == pieces, carried
    seen = OutputStats()
    for _ in range(10):
        seen.delta({"content": "a long piece of several tokens"})
        seen.tokens({"token_ids": [1, 2, 3, 4, 5, 6]})
    assert seen.completion(None) == 60


def test_raw_completions_and_several_choices_are_counted_on_their_way(gateway: KeyedGateway, writer: Writer) -> None:
    writer.ends = "hang-up"
    for path, body, least, most in (
        ("/v1/completions", {"prompt": "hi", "max_tokens": 9000}, ANSWERED + 1, ANSWERED + 20),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], "n": 3}, 1001, 1020),
    ):
        secret = gateway.key(tokens_per_minute=10**6)
        headers = {"authorization": f"Bearer {secret}"}
        asked = {"model": "plain", **body, "stream": True}
        with gateway.http() as session, session.stream("POST", path, json=asked, headers=headers) as answer:
            came = ""
            for text in answer.iter_text():
                came += text
                if LAST in came:
                    break
        assert least <= settled(gateway, secret).all_completion <= most, path


def test_what_is_charged_is_what_clients_are_told(gateway: KeyedGateway, writer: Writer) -> None:
    writer.ends = "zero"
    for dialect, stream in product(PATHS, (False, True)):
        secret = gateway.key(tokens_per_minute=10**6)
        headers = {"authorization": f"Bearer {secret}"}
        body = body_of(dialect, "merged", stream)
        if dialect == "chat" and stream:
            body["stream_options"] = {"include_usage": True}
        with gateway.http() as session:
            told = session.post(PATHS[dialect], json=body, headers=headers).text
        charged = settled(gateway, secret).all_completion
        name = "completion_tokens" if dialect == "chat" else "output_tokens"
        assert charged > 500 and f'"{name}":{charged}' in told.replace(": ", ":"), (dialect, stream, charged)


def test_an_echoed_prompt_hides_nothing_and_too_much_is_charged(tmp_path: Path, backend: ScriptedBackend) -> None:
    """What nobody can tell counts as what was set aside; an answer that is too large has been made all the same."""

    async def echoes(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.event({"id": "c", "choices": [{"index": 0, "text": f"prompt {LAST}"}]})
        await connection.hung_up()

    async def too_much(connection: Connection) -> None:
        await connection.answer(200, json.dumps({**ANSWER, "more": "x" * 300_000}).encode())

    settings = table(backend.url)
    settings["deployments"]["hybrid"]["max_answer_bytes"] = 200_000
    with KeyedGateway(settings, tmp_path, Clock()) as gateway:
        for path, script, body in (
            ("/v1/completions", echoes, {"prompt": "prompt", "echo": True, "stream": True}),
            ("/v1/chat/completions", too_much, {"messages": [{"role": "user", "content": "hi"}]}),
        ):
            backend.script = script
            secret = gateway.key(tokens_per_minute=10**6)
            headers = {"authorization": f"Bearer {secret}"}
            asked = {"model": "bounded", "max_tokens": 5000, **body}
            with gateway.http() as session, session.stream("POST", path, json=asked, headers=headers) as answer:
                next(answer.iter_bytes())
            decided = 0 if path == "/v1/completions" else 64  # to be thought, on top of the client's limit
            assert settled(gateway, secret).all_completion == 5000 + decided, path


def test_counts_that_cannot_be_are_none() -> None:
    """Else a thousand of them would be more than a counter holds."""
    for count, read in ((2**31 - 1, 2**31 - 1), (2**31, None), (2**63, None), (-1, None), (1.5, None), (True, None)):
        assert read_usage({"prompt_tokens": count, "completion_tokens": count}) == Usage(read, read)

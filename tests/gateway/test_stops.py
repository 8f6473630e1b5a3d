"""Stop sequences of clients who mean the answer: the thought may say them, and the answer ends before them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.execution.enforcement.stop_text import StopSequences
from tests.gateway.anthropics import ASK, ask, call
from tests.gateway.bounded import QUICK
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, Script, ScriptedBackend, delta
from tests.patience import PATIENCE_S

LETTERS = st.text("ab", max_size=12)
BUDGET = {"type": "enabled", "budget_tokens": 60}


@QUICK
@given(st.lists(LETTERS, max_size=6), st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3))
def test_a_text_ends_where_the_first_stop_sequence_begins(pieces: list[str], stops: list[str]) -> None:
    text, shown = StopSequences(stops), ""
    for piece in pieces:
        shown += text.push(piece)
        if text.met is not None:
            break
    whole = "".join(pieces)
    if text.met is None:
        assert shown + text.finish() == whole and not any(stop in whole for stop in stops)
    else:
        assert whole.startswith(shown + text.met) and text.met in stops
        assert not any(stop in (shown + text.met)[:-1] for stop in stops)


@QUICK
@given(st.lists(LETTERS, max_size=6), st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3))
def test_no_more_is_held_back_than_may_become_a_stop_sequence(pieces: list[str], stops: list[str]) -> None:
    text, shown, told = StopSequences(stops), "", ""
    for piece in pieces:
        told += piece
        shown += text.push(piece)
        if text.met is not None:
            break
        begun = max(size for stop in stops for size in range(len(stop)) if told.endswith(stop[:size]))
        assert len(told) - len(shown) == begun


def test_a_long_stop_sequence_costs_no_more_with_every_piece_than_a_short_one() -> None:
    def cost(length: int) -> float:
        text, begun = StopSequences(["a" * length, "ab" * (length // 2)]), time.thread_time()
        for _ in range(2000):
            text.push("word a")
        return time.thread_time() - begun

    assert min(cost(200_000) for _ in range(3)) < 20 * min(cost(8) for _ in range(3))


def test_too_many_stop_sequences_and_too_long_ones_are_refused_in_every_dialect(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    chat = {"model": "merged", "messages": ASK["messages"]}
    anthropic = {**chat, "max_tokens": 9}
    for path, name, one, body in (
        ("/v1/chat/completions", "stop", "stop[1]", chat),
        ("/v1/completions", "stop", "stop[1]", {"model": "merged", "prompt": "x"}),
        ("/v1/responses", "stop", "stop[1]", {"model": "merged", "input": "x"}),
        ("/v1/messages", "stop_sequences", "stop_sequences.1", anthropic),
        ("/v1/messages/count_tokens", "stop_sequences", "stop_sequences.1", anthropic),
    ):
        for stops, param, code in (
            ([str(number) for number in range(65)], name, "array_too_long"),
            (["a", "b" * 513], one, "string_above_max_length"),
        ):
            answer = scripted_gateway.post({**body, name: stops}, path)
            error = answer.json()["error"]
            assert answer.status_code == 400 and param in error["message"], error
            assert "/messages" in path or (error["param"], error["code"]) == (param, code)
        assert scripted_gateway.post({**body, name: ["b" * 512, "c"]}, path).status_code == 200
    alone = scripted_gateway.post({**chat, "stop": "b" * 513}).json()["error"]
    assert (alone["param"], alone["code"]) == ("stop", "string_above_max_length")


def thinking_aloud(*pieces: dict[str, Any], finish: str = "stop") -> Script:
    """A backend that tells its usage with every piece, as it is asked to, and never ends by itself once it is cut."""

    async def script(connection: Connection) -> None:
        await connection.begin_stream()
        for number, piece in enumerate(pieces, 1):
            usage = {"prompt_tokens": 7, "completion_tokens": number, "completion_tokens_details": {}}
            await connection.event({**delta(**piece), "usage": usage})
        await connection.event(delta(finish))
        await connection.event({**delta(), "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 99}})
        await connection.event("[DONE]")
        await connection.end_stream()

    return script


PIECES = [{"reasoning": "END is "}, {"reasoning": "near"}, {"content": "so E"}, {"content": "N"}]


@pytest.mark.parametrize("stream", [False, True])
def test_the_thought_may_say_it_and_the_answer_ends_before_it(
    stream: bool, scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async def script(connection: Connection) -> None:
        await connection.begin_stream()
        for number, piece in enumerate([*PIECES, {"content": "D and more"}], 1):
            await connection.event({**delta(**piece), "usage": {"prompt_tokens": 7, "completion_tokens": number}})
        await connection.hung_up()

    backend.script = script
    fields = {**ASK, "thinking": BUDGET, "stop_sequences": ["END", "never"]}
    with scripted_gateway.claude() as client:
        if stream:
            with client.messages.stream(**fields) as events:
                message = events.get_final_message()
        else:
            message = client.messages.create(**fields)
    thought, text = message.content
    assert thought.to_dict()["thinking"] == "END is near" and text.to_dict()["text"] == "so "
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 5)
    assert backend.hang_ups.acquire(timeout=PATIENCE_S), "the backend is let go at once"
    assert "stop" not in backend.last and backend.last["stream"] is True
    assert backend.last["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    assert scripted_gateway.records()[0]["completion_tokens"] == 5


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_does_not_meet_it_is_whole(
    stream: bool, scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    for pieces, text in (
        (PIECES, "so EN"),
        ([*PIECES, {"tool_calls": [call("look", '{"at": "END"}')]}], "so EN"),
        ([{"reasoning": "END"}, {"content": "E"}, {"content": "ND".lower()}], "End"),
    ):
        backend.script = thinking_aloud(*pieces)
        with scripted_gateway.claude() as client:
            fields = {**ASK, "thinking": BUDGET, "stop_sequences": ["END"]}
            if stream:
                with client.messages.stream(**fields) as events:
                    message = events.get_final_message()
            else:
                message = client.messages.create(**fields)
        texts = [block.to_dict()["text"] for block in message.content if block.type == "text"]
        assert texts == [text] and message.stop_sequence is None
        assert message.usage.output_tokens == 99


def test_more_than_the_engine_takes(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    backend.script = thinking_aloud({"content": "so "}, {"content": "END"})
    body = ask(scripted_gateway, thinking={"type": "disabled"}, stop_sequences=["a", "b", "c", "d", "END"]).json()
    assert body["content"] == [{"type": "text", "text": "so "}] and body["stop_sequence"] == "END"
    assert "stop" not in backend.last


def test_where_the_backend_may_look_for_them_itself(backend: ScriptedBackend, start: Start) -> None:
    settings = table(backend.url)
    settings["families"] = {"away": {"base": "qwen3", "engine": "hosted", "budget_field": "b", "source": "made up"}}
    settings["deployments"]["away"] = {"url": backend.url, "model": "m", "family": "away"}
    settings["models"]["away"] = {"deployment": "away"}
    gateway = start(settings)
    for fields in (
        {"thinking": {"type": "disabled"}},
        {"model": "plain", "thinking": BUDGET},
        {"model": "away", "thinking": BUDGET},
    ):
        assert ask(gateway, stop_sequences=["END"], **fields).status_code == 200
        assert backend.last["stop"] == ["END"] and "stream" not in backend.last
    # A chat is the backend's own dialect, and means what the backend means.
    chat = {"model": "merged", "messages": ASK["messages"], "stop": ["END"], "thinking_token_budget": 60}
    assert gateway.post(chat).status_code == 200 and backend.last["stop"] == ["END"]

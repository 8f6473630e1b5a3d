"""Thoughts that come back: byte for byte to the backend, in whichever shape they left, and not if they were touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import beta_tool

from gateway.auth.seal import Seal
from gateway.core.family import Family
from gateway.families.table import shipped
from tests.gateway.anthropics import ASK, HI, TOOL, answering, ask, call, streaming
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import MODEL, Connection, ScriptedBackend

THOUGHT = "\n two  and\ttwo: é😀 </think> \r\n"
Ask = Callable[..., Any]


def plainly(client: anthropic.Anthropic, **fields: Any) -> Any:
    return client.messages.create(**{**ASK, "model": "plain", **fields})


def in_a_stream(client: anthropic.Anthropic, **fields: Any) -> Any:
    with client.messages.stream(**{**ASK, "model": "plain", **fields}) as stream:
        return stream.get_final_message()


@pytest.fixture
def client(scripted_gateway: RunningGateway) -> Iterator[anthropic.Anthropic]:
    with scripted_gateway.claude() as client:
        yield client


def thinking_backend(connection: Connection) -> Any:
    """Plain or streamed, with a thought that has everything in it that is easily lost."""
    message = {"content": "4", "reasoning": THOUGHT}
    pieces = [{"reasoning": THOUGHT[:5]}, {"reasoning": THOUGHT[5:]}, {"content": "4"}]
    return (streaming(*pieces) if connection.request.body.get("stream") else answering(**message))(connection)


def returned(backend: ScriptedBackend) -> list[dict[str, Any]]:
    return [message for message in backend.last["messages"] if message["role"] == "assistant"]


@pytest.mark.parametrize("send", [plainly, in_a_stream])
@pytest.mark.parametrize("display", ["summarized", "omitted", None])
def test_a_thought_comes_back_as_it_was(
    send: Ask, display: str | None, client: anthropic.Anthropic, backend: ScriptedBackend
) -> None:
    backend.script = thinking_backend
    thinking = {"type": "adaptive"} | ({} if display is None else {"display": display})
    message = send(client, thinking=thinking)
    block = message.content[0]
    assert block.type == "thinking" and block.thinking == ("" if display == "omitted" else THOUGHT)
    again = [*HI, {"role": "assistant", "content": message.content}, *HI]
    send(client, messages=again)
    assert returned(backend) == [{"role": "assistant", "content": "4", "reasoning": THOUGHT}]
    # The same, in the block that Anthropic has for thoughts that are not shown.
    if display == "omitted":
        redacted = {"type": "redacted_thinking", "data": block.signature}
        send(client, messages=[*HI, {"role": "assistant", "content": [redacted]}, *HI])
        assert returned(backend) == [{"role": "assistant", "content": "", "reasoning": THOUGHT}]


def test_an_omitted_thought_is_in_no_event(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    backend.script = thinking_backend
    for stream in (False, True):
        answer = ask(scripted_gateway, stream=stream, thinking={"type": "adaptive", "display": "omitted"})
        assert "two" not in answer.text and '"thinking_delta"' not in answer.text and "signature" in answer.text


def test_touched_thoughts_are_refused(
    scripted_gateway: RunningGateway, client: anthropic.Anthropic, backend: ScriptedBackend
) -> None:
    backend.script = thinking_backend
    shown = plainly(client).content[0].to_dict()
    sealed = plainly(client, thinking={"type": "adaptive", "display": "omitted"}).content[0].to_dict()
    other = Seal(["somebody else's secret, of some length"]).bound(None, "merged")
    asked = len(backend.requests)
    for touched in (
        {**shown, "thinking": shown["thinking"] + " "},
        {**shown, "thinking": shown["thinking"].strip()},
        {**shown, "thinking": ""},
        {**shown, "signature": sealed["signature"]},
        {**shown, "signature": other.sign(THOUGHT)},
        {**shown, "signature": ""},
        {**sealed, "thinking": "put in"},
        {**sealed, "signature": sealed["signature"][:-4]},
        {**sealed, "signature": other.close(THOUGHT)},
        {**sealed, "signature": shown["signature"]},
    ):
        answer = ask(scripted_gateway, messages=[*HI, {"role": "assistant", "content": [touched]}, *HI])
        error = answer.json()["error"]
        assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
        assert (error["param"], error["code"]) == ("messages.1.content.0.signature", "invalid_signature")
    assert len(backend.requests) == asked


def test_another_gateway_with_the_same_secret_takes_them(
    backend: ScriptedBackend, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = "the old secret " * 3, "the new secret " * 3
    monkeypatch.setenv("OLD", old)
    (tmp_path / "both").write_text(f"{new}\n{old}\n", "utf-8")
    backend.script = thinking_backend
    with start({**table(backend.url), "signing": {"key_env": "OLD"}}).claude() as client:
        message = plainly(client)
    rotated = start({**table(backend.url), "signing": {"key_file": str(tmp_path / "both")}})
    again = [*HI, {"role": "assistant", "content": message.content}, *HI]
    with rotated.claude() as client:
        after = plainly(client, messages=again)
    assert returned(backend)[0]["reasoning"] == THOUGHT
    assert after.content[0].signature != message.content[0].signature


def test_several_thoughts_of_a_turn_are_one_again(client: anthropic.Anthropic, backend: ScriptedBackend) -> None:
    backend.script = streaming({"reasoning": "a "}, {"content": "1"}, {"reasoning": "b"}, {"content": "2"})
    content = in_a_stream(client).content
    backend.script = thinking_backend
    plainly(client, messages=[*HI, {"role": "assistant", "content": content}, *HI])
    assert returned(backend) == [{"role": "assistant", "content": "12", "reasoning": "a b"}]


TURNS = 10


def run_agent(
    send: Ask, client: anthropic.Anthropic, backend: ScriptedBackend, row: Family, turns: int, aside: bool
) -> list[Any]:
    """A tool loop: each turn thinks, calls and gets a result. What the backend was sent of its own turns, each time.

    `aside`: the client says something beside each result, as coding agents do.
    """
    messages: list[Any] = list(HI)
    sent = []
    for turn in range(turns):
        tool = call("look", f'{{"at": "file {turn}"}}', f"call-{turn}")
        thought = {row.answer_field: f"{THOUGHT}{turn}"}

        async def script(connection: Connection, thought: Any = thought, tool: Any = tool) -> None:
            if connection.request.body.get("stream"):
                pieces = [thought, {"content": "\n"}, {"tool_calls": [tool]}]
                await streaming(*pieces, finish_reason="tool_calls")(connection)
            else:
                await answering("tool_calls", **thought, content="\n", tool_calls=[tool])(connection)

        backend.script = script
        message = send(client, messages=messages, tools=[TOOL], thinking={"type": "adaptive"}, model=row.name)
        assert message.stop_reason == "tool_use"
        sent.append(returned(backend))
        (used,) = [block for block in message.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": used.id, "content": f"result {turn}"}
        said = [{"type": "text", "text": "<system-reminder>on</system-reminder>"}] if aside else []
        messages.append({"role": "assistant", "content": message.content})
        messages.append({"role": "user", "content": [result, *said]})
    # With a new task, thoughts of a loop that is over have had their time.
    backend.script = thinking_backend
    send(client, messages=[*messages, {"role": "assistant", "content": "Done."}, *HI], model=row.name)
    return [*sent, returned(backend)]


def agents(backend: ScriptedBackend, rows: list[Family]) -> dict[str, Any]:
    """Settings with a model for each of these families."""
    policy = {"kind": "client", "default_effort": "low"}
    return {
        "deployments": {row.name: {"url": backend.url, "model": MODEL, "family": row.name} for row in rows},
        "models": {row.name: {"deployment" if row.hybrid else "think": row.name, "policy": policy} for row in rows},
    }


def check_agent(row: Family, sent: list[Any]) -> None:
    """What the backend got back of its own turns is what the family wants, byte for byte."""
    *loop, after = sent
    thoughts = [f"{THOUGHT}{turn}" for turn in range(len(loop))]
    wants, keeps = row.passes_through or row.history != "drop", row.passes_through or row.history == "keep"
    for turn, back in enumerate(loop):
        assert [one["tool_calls"][0]["id"] for one in back] == [f"call-{before}" for before in range(turn)]
        assert [one.get(row.history_field) for one in back] == (thoughts[:turn] if wants else [None] * turn), row.name
    kept = thoughts if keeps else [None] * len(loop)
    assert [one.get(row.history_field) for one in after] == [*kept, None], row.name


@pytest.mark.parametrize("send", [plainly, in_a_stream])
@pytest.mark.parametrize("name", ["qwen3", "glm-4.7", "deepseek-v4", "gpt-oss", "plain"])
def test_an_agent_of_ten_turns_keeps_its_thoughts(send: Ask, name: str, backend: ScriptedBackend, start: Start) -> None:
    row = shipped().family(name)
    with start(agents(backend, [row])).claude() as client:
        for aside in (False, True):
            check_agent(row, run_agent(send, client, backend, row, TURNS, aside))


def test_every_family_gets_the_thoughts_that_it_wants(backend: ScriptedBackend, start: Start) -> None:
    """But for those whose thoughts are no text."""
    named = ("reasoning", "reasoning_content")
    families = [shipped().family(name) for name in shipped().names()]
    rows = [row for row in families if row.answer_field in named and row.history_field in named]
    with start(agents(backend, rows)).claude() as client:
        for row in rows:
            check_agent(row, run_agent(plainly, client, backend, row, 3, True))
    assert len(rows) >= 40


@beta_tool
def look(at: str) -> str:
    """Looks at a thing.

    Args:
        at: where it is
    """
    return f"saw {at}"


def agent(connection: Connection) -> Any:
    """A model that looks three times and is done then."""
    turn = sum(message["role"] == "tool" for message in connection.request.body["messages"])
    stream = connection.request.body.get("stream")
    if turn == 3:
        return (streaming({"content": "done"}) if stream else answering(content="done"))(connection)
    said = {"reasoning": f"{THOUGHT}{turn}", "tool_calls": [call("look", f'{{"at": "{turn}"}}', f"call-{turn}")]}
    pieces = [{name: value} for name, value in said.items()]
    told = streaming(*pieces, finish_reason="tool_calls") if stream else answering("tool_calls", **said)
    return told(connection)


@pytest.mark.parametrize("stream", [False, True])
def test_the_sdks_own_tool_loop(stream: bool, client: anthropic.Anthropic, backend: ScriptedBackend) -> None:
    """It first asks the server to keep the conversation; told that it does not, it sends all of it each time."""
    backend.script = agent
    runner = client.beta.messages.tool_runner(
        model="plain", max_tokens=3000, tools=[look], messages=HI, thinking={"type": "adaptive"}, stream=stream
    )
    messages = [running.get_final_message() for running in runner] if stream else list(runner)
    assert [message.stop_reason for message in messages] == ["tool_use"] * 3 + ["end_turn"]
    assert messages[-1].content[0].text == "done"
    assert [one["reasoning"] for one in returned(backend)] == [f"{THOUGHT}{turn}" for turn in range(3)]
    results = [message["content"] for message in backend.last["messages"] if message["role"] == "tool"]
    assert results == ["saw 0", "saw 1", "saw 2"]

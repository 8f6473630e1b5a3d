"""Thoughts that come back: byte for byte to the backend, in whichever shape they left, and not if they were touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.seal import Seal
from tests.gateway.anthropics import ASK, HI, TOOL, answering, ask, call, streaming
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import MODEL, Connection, ScriptedBackend

THOUGHT = "\n two  and\ttwo: é😀 </think> \r\n"
# A family that wants the thoughts of the loop it is in.
AGENT = {"base": "qwen3", "history": "tools", "source": "made up"}
Ask = Callable[..., Any]


def plainly(gateway: RunningGateway, **fields: Any) -> Any:
    with gateway.claude() as client:
        return client.messages.create(**{**ASK, "model": "plain", **fields})


def in_a_stream(gateway: RunningGateway, **fields: Any) -> Any:
    with gateway.claude() as client, client.messages.stream(**{**ASK, "model": "plain", **fields}) as stream:
        return stream.get_final_message()


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
    send: Ask, display: str | None, scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    backend.script = thinking_backend
    thinking = {"type": "adaptive"} | ({} if display is None else {"display": display})
    message = send(scripted_gateway, thinking=thinking)
    block = message.content[0]
    assert block.type == "thinking" and block.thinking == ("" if display == "omitted" else THOUGHT)
    again = [*HI, {"role": "assistant", "content": message.content}, *HI]
    send(scripted_gateway, messages=again)
    assert returned(backend) == [{"role": "assistant", "content": "4", "reasoning": THOUGHT}]
    # The same, in the block that Anthropic has for thoughts that are not shown.
    if display == "omitted":
        redacted = {"type": "redacted_thinking", "data": block.signature}
        send(scripted_gateway, messages=[*HI, {"role": "assistant", "content": [redacted]}, *HI])
        assert returned(backend) == [{"role": "assistant", "content": "", "reasoning": THOUGHT}]


def test_an_omitted_thought_is_in_no_event(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    backend.script = thinking_backend
    for stream in (False, True):
        answer = ask(scripted_gateway, stream=stream, thinking={"type": "adaptive", "display": "omitted"})
        assert "two" not in answer.text and '"thinking_delta"' not in answer.text and "signature" in answer.text


def test_touched_thoughts_are_refused(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    backend.script = thinking_backend
    shown = plainly(scripted_gateway).content[0].to_dict()
    sealed = plainly(scripted_gateway, thinking={"type": "adaptive", "display": "omitted"}).content[0].to_dict()
    other = Seal(["somebody else's secret, of some length"])
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
    message = plainly(start({**table(backend.url), "signing": {"key_env": "OLD"}}))
    rotated = start({**table(backend.url), "signing": {"key_file": str(tmp_path / "both")}})
    again = [*HI, {"role": "assistant", "content": message.content}, *HI]
    after = plainly(rotated, messages=again)
    assert returned(backend)[0]["reasoning"] == THOUGHT
    assert after.content[0].signature != message.content[0].signature


def test_several_thoughts_of_a_turn_are_one_again(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    backend.script = streaming({"reasoning": "a "}, {"content": "1"}, {"reasoning": "b"}, {"content": "2"})
    content = in_a_stream(scripted_gateway).content
    backend.script = thinking_backend
    plainly(scripted_gateway, messages=[*HI, {"role": "assistant", "content": content}, *HI])
    assert returned(backend) == [{"role": "assistant", "content": "12", "reasoning": "a b"}]


@pytest.mark.parametrize("send", [plainly, in_a_stream])
@pytest.mark.parametrize("aside", [False, True])
def test_an_agent_of_ten_turns_keeps_its_thoughts(
    send: Ask, aside: bool, backend: ScriptedBackend, start: Start
) -> None:
    """`aside`: the client says something beside each result, as coding agents do."""
    settings = table(backend.url)
    settings["families"] = {"agent": AGENT}
    settings["deployments"]["agent"] = {"url": backend.url, "model": MODEL, "family": "agent"}
    settings["models"]["agent"] = {"deployment": "agent"}
    gateway = start(settings)
    thoughts = [f"{THOUGHT}{turn}" for turn in range(10)]
    messages: list[Any] = list(HI)
    for turn, thought in enumerate(thoughts):
        tool = call("look", f'{{"at": "file {turn}"}}', f"call-{turn}")

        async def script(connection: Connection, thought: str = thought, tool: Any = tool) -> None:
            if connection.request.body.get("stream"):
                pieces = [{"reasoning": thought}, {"content": "\n"}, {"tool_calls": [tool]}]
                await streaming(*pieces, finish_reason="tool_calls")(connection)
            else:
                await answering("tool_calls", reasoning=thought, content="\n", tool_calls=[tool])(connection)

        backend.script = script
        message = send(gateway, messages=messages, tools=[TOOL], thinking={"type": "adaptive"}, model="agent")
        assert message.stop_reason == "tool_use"
        back = returned(backend)
        assert [one["reasoning"] for one in back] == thoughts[:turn]
        assert [one["tool_calls"][0]["id"] for one in back] == [f"call-{before}" for before in range(turn)]
        (used,) = [block for block in message.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": used.id, "content": f"result {turn}"}
        said = [{"type": "text", "text": "<system-reminder>on</system-reminder>"}] if aside else []
        messages.append({"role": "assistant", "content": message.content})
        messages.append({"role": "user", "content": [result, *said]})
    # With a new task the old thoughts have had their time.
    backend.script = thinking_backend
    send(gateway, messages=[*messages, {"role": "assistant", "content": "Done."}, *HI], model="agent")
    assert not any("reasoning" in one for one in returned(backend))

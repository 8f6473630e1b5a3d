"""A conversation keeps its arm as it grows: in every dialect, with every client, whatever names it or does not."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from gateway.api.units import beginning_of, conversation_of, session_of
from tests.gateway.conftest import table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend

TURNS = 10
BEGINNINGS = [f"Question {number}: what is {number} + 1?" for number in range(8)]
PROMPT = "You are a helpful assistant."
TOOL = {"name": "search", "description": "Searches.", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with ScriptedBackend() as backend:
        settings = table(backend.url)
        arms = {name: {"deployment": "hybrid"} for name in ("one", "two", "three")}
        settings["models"] = {"tried": {"arms": arms}}
        with RunningGateway(settings, tmp_path_factory.mktemp("sticky")) as running:
            yield running


def chat(sdk: openai.OpenAI, beginning: str) -> Iterator[str]:
    """Grows a chat; its tools grow, too, the mark for the cache moves to the latest message, and the system prompt says
    what time it is.
    """
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    first = [image, {"type": "text", "text": beginning}] if beginning.startswith("Question 1") else beginning
    messages: list[Any] = [{"role": "system", "content": PROMPT}, {"role": "user", "content": first}]
    for turn in range(TURNS):
        messages[0] = {"role": "system", "content": f"{PROMPT} It is 2026-11-{10 + turn:02}, 12:{turn:02}."}
        last = messages[-1]["content"]
        parts = last if isinstance(last, list) else [{"type": "text", "text": last}]
        marked = [*parts[:-1], {**parts[-1], "cache_control": {"type": "ephemeral"}}]
        sent = [*messages[:-1], {"role": "user", "content": marked}]
        tools: Any = [{"type": "function", "function": {**TOOL, "name": f"tool_{n}"}} for n in range(turn)]
        raw = sdk.chat.completions.with_raw_response.create(
            model="tried", messages=sent, **({"tools": tools} if tools else {})
        )
        yield raw.headers["x-thinkgate-arm"]
        messages.append({"role": "assistant", "content": raw.parse().choices[0].message.content})
        messages.append({"role": "user", "content": f"And then? {turn}"})


def messages(sdk: anthropic.Anthropic, beginning: str) -> Iterator[str]:
    said: list[Any] = [{"role": "user", "content": beginning}]
    for turn in range(TURNS):
        block = {"type": "text", "text": said[-1]["content"], "cache_control": {"type": "ephemeral"}}
        billing = {"type": "text", "text": f"x-anthropic-billing-header: cc_version={turn};"}
        raw = sdk.messages.with_raw_response.create(
            model="tried",
            max_tokens=200,
            system=[billing, {"type": "text", "text": PROMPT}],  # type: ignore[list-item]
            messages=[*said[:-1], {"role": "user", "content": [block]}],  # type: ignore[typeddict-item]
        )
        yield raw.headers["x-thinkgate-arm"]
        said.append({"role": "assistant", "content": raw.parse().content})
        said.append({"role": "user", "content": f"And then? {turn}"})


def chained(sdk: openai.OpenAI, beginning: str) -> Iterator[str]:
    """Goes on from the response before, and changes its instructions."""
    previous, text = openai.omit, beginning
    for turn in range(TURNS):
        raw = sdk.responses.with_raw_response.create(
            model="tried", input=text, instructions=f"{PROMPT} {turn}", previous_response_id=previous
        )
        yield raw.headers["x-thinkgate-arm"]
        previous, text = raw.parse().id, f"And then? {turn}"


def resent(sdk: openai.OpenAI, beginning: str) -> Iterator[str]:
    """Sends all items again, as those do that keep nothing at the gateway."""
    items: list[Any] = [{"role": "user", "content": beginning}]
    for turn in range(TURNS):
        raw = sdk.responses.with_raw_response.create(model="tried", input=items, instructions=PROMPT, store=False)
        yield raw.headers["x-thinkgate-arm"]
        items += [item.to_dict() for item in raw.parse().output if item.type == "message"]
        items.append({"role": "user", "content": f"And then? {turn}"})


def test_a_conversation_that_nobody_names_never_changes_its_arm(gateway: RunningGateway) -> None:
    arms: dict[str, dict[str, set[str]]] = defaultdict(dict)
    with gateway.sdk() as sdk, gateway.claude() as claude:
        for beginning in BEGINNINGS:
            arms["chat"][beginning] = {*chat(sdk, beginning)}
            arms["messages"][beginning] = {*messages(claude, beginning)}
            arms["chained"][beginning] = {*chained(sdk, beginning)}
            arms["resent"][beginning] = {*resent(sdk, beginning)}
    for dialect, found in arms.items():
        assert all(len(each) == 1 for each in found.values()), f"{dialect}: {found}"
        assert len(set.union(*found.values())) > 1, f"{dialect}: all conversations in one arm"


def test_a_chain_follows_its_first_response_whatever_named_that(gateway: RunningGateway) -> None:
    seen = set()
    with gateway.sdk() as sdk:
        for number in range(6):
            first = sdk.responses.with_raw_response.create(
                model="tried", input="hi", extra_headers={"x-session-id": f"s{number}"}
            )
            then = sdk.responses.with_raw_response.create(
                model="tried", input="and?", previous_response_id=first.parse().id
            )
            assert first.headers["x-thinkgate-arm"] == then.headers["x-thinkgate-arm"]
            seen.add(then.headers["x-thinkgate-arm"])
    assert len(seen) > 1, "all of them say hi, and the session tells them apart"


def test_every_client_names_its_session_in_its_own_place() -> None:
    """As recorded from Claude Code 2.1, Codex 0.171, OpenCode 1.18 and Pi 0.73."""
    told: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({}, {"x-claude-code-session-id": "s"}),
        ({"metadata": {"user_id": json.dumps({"device_id": "d", "session_id": "s"})}}, {}),
        ({"prompt_cache_key": "k"}, {"session-id": "s", "thread-id": "t"}),
        ({"client_metadata": {"session_id": "s", "thread_id": "t"}}, {}),
        ({}, {"x-session-id": "s", "x-session-affinity": "s"}),
        ({}, {"x-session-id": "sub", "x-parent-session-id": "s"}),
        ({"prompt_cache_key": "s"}, {}),
        ({}, {"session_id": "s", "x-client-request-id": "other each time"}),
        ({"metadata": {"session_id": "s"}}, {}),
    ]
    for body, headers in told:
        assert session_of(body, headers) == "s", (body, headers)
    nothing: list[dict[str, Any]] = [
        {"metadata": None, "prompt_cache_key": 7, "client_metadata": [], "conversation": {"id": 1}},
        {"metadata": {"user_id": "{no json", "session_id": ""}, "conversation": ""},
        {"metadata": {"user_id": "[1]"}},
    ]
    for body in nothing:
        assert session_of(body, {}) is None and conversation_of(body) is None
    assert conversation_of({"conversation": {"id": "c"}}) == conversation_of({"conversation": "c"}) == "c"


def test_the_whole_beginning_counts() -> None:
    def beginning(system: str = "s", *said: Any) -> str | None:
        return beginning_of(
            [{"role": "system", "content": system}, *({"role": "user", "content": one} for one in said)]
        )

    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    long = "x" * 100_000
    different = [
        beginning("s", "hi"),
        beginning("t", "hi"),
        beginning("s", "ho"),
        beginning("s", f"{long}a"),
        beginning("s", f"{long}b"),
        beginning("s", [image, {"type": "text", "text": "hi"}]),
        beginning("s", [{"type": "text", "text": "hi"}, {"type": "text", "text": ""}]),
        beginning("s", ""),
    ]
    assert None not in different and len(set(different)) == len(different)
    assert beginning("s", "hi", "later") == beginning("s", "hi") == beginning("s", [{"type": "text", "text": "hi"}])
    assert beginning("s") is None, "nobody has said anything"
    assert beginning("It is 9:59.", "hi") == beginning("It is 10:00.", "hi") != beginning("It is late.", "hi")
    assert beginning("s", "1 + 2") != beginning("s", "1 + 3"), "the user's own digits count"

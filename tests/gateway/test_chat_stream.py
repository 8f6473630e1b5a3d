"""The stream translator: whatever a backend sends and however it is cut into pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.chat.encoder import ChatEncoder
from gateway.core.backend_errors import BackendFailed
from gateway.core.errors import GatewayError
from gateway.core.usage import Usage
from gateway.execution.streaming.chat_stream import ChatStream
from tests.gateway.bounded import QUICK
from tests.gateway.scripted import MODEL, delta, sse, usage_chunk

LIMIT = 4096


def fed(*chunks: bytes, hide_usage: bool = True) -> tuple[bytes, ChatStream]:
    stream = ChatStream(ChatEncoder("public", hide_usage), LIMIT)
    return b"".join(stream.feed(chunk) for chunk in chunks), stream


def ending(stream: ChatStream) -> str | None:
    try:
        stream.finish()
    except GatewayError as error:
        return error.message
    return None


EVENTS = (
    st.builds(sse, st.builds(delta, content=st.text(max_size=5)))
    | st.builds(sse, st.builds(delta, st.sampled_from(["stop", "length"])))
    | st.sampled_from(
        [
            sse(usage_chunk()),
            sse("[DONE]"),
            b"data:[DONE]\r\n\r\n",
            b": a comment\n\n",
            b"event: ping\ndata: {}\n\n",
            b'data: {"model":\ndata: "x"}\r\n\r\n',
            b'data: {"model": "%s", "n": 1}\n\r\n' % MODEL.encode(),
            b'id: 3\nretry: 5\ndata: {"choices": 7, "usage": [], "model": 5}\n\n',
            b"\n",
            b"\r\n\r\n",
            b"data: {broken\n\n",
            b"data: [1]\n\n",
            b"\xff\n\n",
            sse({"error": {"message": "no"}}),
        ]
    )
    | st.binary(max_size=12)
)


@st.composite
def cut_up(draw: st.DrawFn) -> list[bytes]:
    whole = b"".join(draw(st.lists(EVENTS, max_size=8)))
    cuts = sorted(draw(st.sets(st.integers(0, len(whole)), max_size=6)))
    return [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


@QUICK
@given(cut_up(), st.booleans())
def test_how_a_stream_is_cut_into_pieces_changes_nothing(pieces: list[bytes], hide_usage: bool) -> None:
    whole = b"".join(pieces)
    seen, stream = fed(whole, hide_usage=hide_usage)
    for chunks in (pieces, [whole[i : i + 1] for i in range(len(whole))]):
        again, other = fed(*chunks, hide_usage=hide_usage)
        assert again == seen
        assert (other.usage, other.finish_reason, other.first_token is None) == (
            stream.usage,
            stream.finish_reason,
            stream.first_token is None,
        )
        assert ending(other) == ending(stream)


@QUICK
@given(st.lists(st.binary(max_size=64), max_size=20))
def test_no_bytes_raise_anything_else(chunks: list[bytes]) -> None:
    seen, _ = fed(*chunks)
    seen.decode()
    for event in seen.split(b"\n\n"):
        for line in event.splitlines():
            if line.startswith(b"data:"):
                json.loads(line[5:])


NAMES = st.sampled_from(["choices", "delta", "content", "finish_reason", "usage", "error", "message", "model", "code"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
)


@QUICK
@given(ANYTHING)
def test_no_json_raises_anything_else(value: Any) -> None:
    _, stream = fed(sse({"choices": value, "usage": value, "model": value}), sse({"error": value}), sse(value))
    ending(stream)


def test_what_is_only_renamed_passes_byte_by_byte() -> None:
    event = b'data: {"id":"c", "model":"%s", "x":1.0,"y":[1e5,"\\u0041"]}\n\n' % MODEL.encode()
    assert fed(event)[0] == event.replace(MODEL.encode(), b"public").replace(b'"model":', b'"model":')
    for spelled in (b'"model" : "backend-model"', b'"model":"backend\\u002dmodel"'):
        assert json.loads(fed(b"data: {%s}\n\n" % spelled)[0][6:]) == {"model": "public"}


def test_a_name_inside_the_text_stays() -> None:
    text = f'say "model":"{MODEL}"'
    assert json.loads(fed(sse(delta(content=text)))[0][6:])["choices"][0]["delta"]["content"] == text


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_event_without_end_is_given_up(size: int) -> None:
    stream = ChatStream(ChatEncoder("public", True), LIMIT)
    held = 0
    for _ in range(0, 100 * LIMIT, size):
        assert stream.feed(b"x" * size) == b""
        held = max(held, len(stream._rest))
        if stream.ended:
            break
    assert held <= LIMIT + size and stream.ended
    with pytest.raises(BackendFailed, match="too large"):
        stream.finish()


def test_usage_told_twice_is_what_was_told_last() -> None:
    last = {**usage_chunk(), "usage": {"prompt_tokens": 8, "completion_tokens": 2**63, "x": None}}
    seen, stream = fed(sse(delta("stop")), sse(usage_chunk()), sse(last), hide_usage=False)
    assert stream.usage == Usage(8, None, None), "a count that no database holds is none"
    assert seen.count(b'"usage"') == 2


def test_an_end_mark_may_lack_its_empty_line() -> None:
    seen, stream = fed(sse(delta(content="x")), sse(delta("stop")), b"data: [DONE]\n")
    assert ending(stream) is None and b"DONE" not in seen

"""The embedded engine: any request is accepted or refused in its words; text is parsed the same in any pieces."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.embedded.chat import ChatPrompt
from gateway.embedded.completions import Completion
from gateway.embedded.engine import Engine, EngineGeneration
from gateway.embedded.errors import RequestError
from gateway.embedded.listing import detokenized, tokenized
from gateway.embedded.protocol import parse_json
from gateway.embedded.reasoning_parser import ReasoningParser
from gateway.embedded.sampling import SamplingParams
from gateway.embedded.served import WEIGHTS, Served, load_all
from gateway.embedded.tool_parser import CallStream, parse_calls
from tests.fuzz.bodies import SCALARS, VALUES, bodies
from tests.gateway.bounded import QUICK

PROMPTS = SCALARS | st.lists(SCALARS, max_size=3) | st.lists(st.lists(st.integers(-1, 5000), max_size=3), max_size=3)


class Accepting(Engine):
    """Accepts what can be answered, and answers nothing."""

    def generate(
        self, served: Served, prompts: Sequence[Sequence[int]], params: SamplingParams, n: int, streamed: bool
    ) -> EngineGeneration:
        return EngineGeneration(self.metrics, served.name)


@cache
def engine() -> Accepting:
    return Accepting(load_all(WEIGHTS, 4), 16, lambda: None)


def told(error: RequestError) -> None:
    assert 400 <= error.status < 500
    orjson.dumps(error.body())


@QUICK
@given(body=bodies(["tiny", "tiny-instruct", "tiny-thinking"]))
@example(body={"messages": [{"role": "user", "content": [{"type": {}, "text": "hi"}]}]})
@example(body={"messages": [{"role": "assistant", "tool_calls": 5}]})
def test_any_chat_is_accepted_or_refused(body: dict[str, Any]) -> None:
    try:
        ChatPrompt(engine(), parse_json(orjson.dumps(body)), None)
    except RequestError as error:
        told(error)


@QUICK
@given(body=bodies(["tiny", "tiny-instruct"]), prompt=PROMPTS)
def test_any_completion_is_accepted_or_refused(body: dict[str, Any], prompt: Any) -> None:
    try:
        Completion(engine(), parse_json(orjson.dumps({**body, "prompt": prompt})), None)
    except RequestError as error:
        told(error)


@QUICK
@given(body=bodies(["tiny"]), prompt=PROMPTS, ids=VALUES | st.lists(st.integers(-1, 5000)))
def test_any_text_is_tokenized_or_refused(body: dict[str, Any], prompt: Any, ids: Any) -> None:
    for work in (
        lambda: tokenized(engine(), {**body, "prompt": prompt}),
        lambda: tokenized(engine(), {"prompt": prompt}),
        lambda: detokenized(engine(), {"tokens": ids}),
    ):
        try:
            orjson.dumps(work())
        except RequestError as error:
            told(error)


@QUICK
@given(st.binary(max_size=200) | st.text('{}[]":,\\ud8e+-.1ntf', max_size=60).map(str.encode))
def test_any_bytes_are_a_request_or_refused(raw: bytes) -> None:
    try:
        assert isinstance(parse_json(raw), dict)
    except RequestError as error:
        told(error)


MARKS = st.sampled_from(
    ["<think>", "</think>", "<tool_call>", "</tool_call>", '{"name": "f", "arguments": ', "{}", "}", ","]
)
TEXTS = st.lists(MARKS | st.text(max_size=4) | st.sampled_from(["<", "</", "<to", '"', "\\"]), max_size=12)


@QUICK
@given(TEXTS, st.data(), st.booleans())
def test_thoughts_are_told_apart_in_any_pieces(texts: list[str], data: st.DataObject, thinking: bool) -> None:
    whole = "".join(texts)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=5)))

    def parsed(pieces: list[str]) -> tuple[str, str]:
        parser = ReasoningParser(thinking)
        parts = [*map(parser.push, pieces), parser.finish()]
        return "".join(part.reasoning for part in parts), "".join(part.content for part in parts)

    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert parsed(pieces) == parsed([whole]) == parsed(list(whole))


@QUICK
@given(TEXTS, st.data())
def test_calls_are_found_in_any_pieces(texts: list[str], data: st.DataObject) -> None:
    whole = "".join(texts)
    parse_calls(whole)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=5)))

    def streamed(pieces: list[str]) -> tuple[str, dict[int, tuple[str, str]]]:
        stream, content, calls = CallStream(), "", {}
        for piece in pieces:
            text, deltas = stream.push(piece)
            content += text
            for delta in deltas:
                name, arguments = calls.get(delta["index"], ("", ""))
                function = delta["function"]
                calls[delta["index"]] = (name + function.get("name", ""), arguments + function.get("arguments", ""))
        return content + stream.finish(), calls

    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert streamed(pieces) == streamed([whole]) == streamed(list(whole))

"""Worst-case request bodies, generated for every field of every dialect from its schema.

A place is a path of keys and positions into a body. What the schemas leave open (the parts of a content, items, schemas
of tools) is taken from one good body of each route, which says a little of everything.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from gateway.api.openapi import documents

Json = dict[str, Any]
Path = tuple[str | int, ...]
KIND = "application/json"
CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
FUNCTION = {
    "name": "look",
    "description": "d",
    "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
}
PIXEL = "data:image/png;base64,QUJD"
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
TALK: list[Json] = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": PIXEL}}]},
    {"role": "assistant", "content": "b", "reasoning": "r", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "d"},
    {"role": "system", "content": "e"},
    {"role": "user", "content": "f"},
]
TURNS: list[Json] = [
    {"role": "user", "content": [{"type": "text", "text": "a"}]},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "look", "input": {"a": "b"}}]},
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "d"}]},
            {"type": "document", "title": "t", "source": {"type": "text", "data": "x"}},
        ],
    },
    {"role": "system", "content": "e"},
    {"role": "user", "content": "f"},
]
ITEMS: list[Json] = [
    {"role": "developer", "content": "be brief"},
    {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
    {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "r"}]},
    {"role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
    {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "d"},
    {"type": "message", "role": "user", "content": "f"},
]
GOOD: Mapping[str, Json] = {
    "/v1/chat/completions": {
        "messages": TALK,
        "tools": [{"type": "function", "function": FUNCTION}],
        "response_format": SCHEMA,
        "stop": ["END"],
        "metadata": {"a": "b"},
        "logit_bias": {"1": 2},
    },
    "/v1/messages": {
        "messages": TURNS,
        "max_tokens": 900,
        "system": [{"type": "text", "text": "be brief"}],
        "tools": [{"name": "look", "description": "d", "input_schema": {"type": "object", "properties": {}}}],
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
    },
    "/v1/messages/count_tokens": {"messages": TURNS, "system": "be brief"},
    "/v1/responses": {
        "input": ITEMS,
        "instructions": "be brief",
        "tools": [{"type": "function", **FUNCTION}],
        "metadata": {"a": "b"},
    },
    "/v1/completions": {"prompt": ["a", "b"], "stop": ["END"]},
    "/v1/embeddings": {"input": ["a", "b"]},
}
# What stands in a place, of about so many bytes. Texts:
TEXTS: Mapping[str, Callable[[int], Any]] = {
    "letters": lambda size: "a" * size,
    "words": lambda size: "the quick brown fox 12 " * (size // 23),
    "accents": lambda size: "é" * (size // 2),
    "unseen": lambda size: "\u200b" * (size // 3),
    "escapes": lambda size: '\n"\\' * (size // 6),
    "brackets": lambda size: "([{" * (size // 3),
    "lines": lambda size: "\n" * (size // 2),
    "commas": lambda size: "," * size,
    "quotes": lambda size: '",' * (size // 3),
    "tags": lambda size: "</think><think>" * (size // 15),
}
# and values with many others inside, of which some are refused.
VALUES: Mapping[str, Callable[[int], Any]] = {
    "strings": lambda size: ["ab"] * (size // 5),
    "numbers": lambda size: list(range(100_000, 100_000 + size // 7)),
    "floats": lambda size: [0.5] * (size // 4),
    "objects": lambda size: [{"type": "text", "text": "a"}] * (size // 28),
    "lists": lambda size: [[]] * (size // 3),
    "keys": lambda size: {f"key{number}": 0 for number in range(size // 13)},
    "key": lambda size: {"k" * size: 1},
    "deep": lambda size: _deep([["a"]] * (size // 8), 40),
}


class Case(NamedTuple):
    """A body that is built on demand."""

    route: str
    place: Path
    kind: str
    make: Callable[[], bytes]

    @property
    def name(self) -> str:
        return f"{self.route} {'.'.join(map(str, self.place))}: {self.kind}"


def cases(size: int, model: str) -> Iterator[Case]:
    """All of them, each of about `size` bytes, for a model of this name."""
    for route, good in GOOD.items():
        body = {"model": model, **good}
        for number, place in enumerate(places(route, body)):
            write = _written if number % 2 else _spaced
            for kind, make in {**TEXTS, **VALUES}.items():
                yield Case(route, place, kind, partial(_with, body, place, partial(make, size), write))
            elements = _at(body, place)
            if isinstance(elements, list) and elements:
                for many in (9_000, 100_000):
                    repeated = partial(_repeated, elements, many, size)
                    yield Case(route, place, f"{many} elements", partial(_with, body, place, repeated, write))


def _with(body: Json, place: Path, make: Callable[[], Any], write: Callable[[Json], bytes]) -> bytes:
    return write(_put(body, place, make()))


def places(route: str, body: Json) -> list[Path]:
    """Those of the schema, and those of a body."""
    document = documents.clients("0", False, False)
    schema = document["paths"][route]["post"]["requestBody"]["content"][KIND]["schema"]
    found = dict.fromkeys([*_of_schema(document, schema, ()), *_of_body(body, ()), ("a_field_of_tomorrow",)])
    return [place for place in found if place]


def _of_schema(document: Json, schema: Json, place: Path) -> Iterator[Path]:
    while "$ref" in schema:
        _, *names = schema["$ref"].split("/")
        schema = document
        for name in names:
            schema = schema[name]
    yield place
    if len(place) < 6:
        for name, inner in schema.get("properties", {}).items():
            yield from _of_schema(document, inner, (*place, name))
        if isinstance(schema.get("items"), dict):
            yield from _of_schema(document, schema["items"], (*place, 0))
        for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
            yield from _of_schema(document, one, place)


def _of_body(value: Any, place: Path) -> Iterator[Path]:
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, below in inner:
        yield from _of_body(below, (*place, name))


def _at(body: Any, place: Path) -> Any:
    for name in place:
        try:
            body = body[name]
        except (KeyError, IndexError, TypeError):
            return None
    return body


def _put(body: Json, place: Path, value: Any) -> Json:
    """The same body with this value at that place; missing parents are created."""
    changed: Any = copy.deepcopy(body)
    here = changed
    for name, after in pairwise(place):
        empty: Any = {} if isinstance(after, str) else []
        if isinstance(name, int):
            if len(here) <= name:
                here.append(empty)
        elif not isinstance(here.get(name), type(empty)):
            here[name] = empty
        here = here[name]
        if not isinstance(here, type(empty)):
            return _put({key: inner for key, inner in body.items() if key != place[0]}, place, value)
    if isinstance(place[-1], int) and len(here) <= place[-1]:
        here.append(value)
    else:
        here[place[-1]] = value
    return changed  # type: ignore[no-any-return]


def _repeated(elements: list[Any], many: int, size: int) -> list[Any]:
    """These elements again and again, `many` together or fewer, with long enough texts to make up the size."""
    once = len(orjson.dumps(elements))
    rounds = max(min(many // len(elements), size // once), 1)
    texts = orjson.dumps(elements).count(b'"') // 4 or 1
    return _padded(elements, max(size // rounds - once, 0) // texts) * rounds


def _padded(value: Any, by: int) -> Any:
    if isinstance(value, list):
        return [_padded(one, by) for one in value]
    if isinstance(value, dict):
        return {name: _padded(one, by) if name in ("text", "content", "output", "data") else one
                if not isinstance(one, list | dict) else _padded(one, by) for name, one in value.items()}  # fmt: skip
    return value + "a" * by if isinstance(value, str) else value


def _written(body: Json) -> bytes:
    """As fast clients write JSON."""
    return orjson.dumps(body)


def _spaced(body: Json) -> bytes:
    """As Python's own module does."""
    return json.dumps(body).encode()


def _deep(value: Any, levels: int) -> Any:
    for _ in range(levels):
        value = [value]
    return value

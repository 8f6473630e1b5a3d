"""Validates and normalises the items of a request: each has a type and an id, and contents are lists of parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gateway.api import checks
from gateway.api.dropped_thoughts import DroppedThoughts
from gateway.api.fields import Fields
from gateway.api.responses.errors import UnknownItem, Unsupported
from gateway.api.responses.ids import input_item_id, response_of
from gateway.api.responses.options import read_format
from gateway.api.responses.turn import Item
from gateway.auth.seal import BoundSeal, ForeignSeal
from gateway.core import large_json

ROLES = ("user", "assistant", "system", "developer")
CALLS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}
DETAILS = ("low", "high", "auto", "original")


def references(given: Any) -> set[str]:
    """The ids of the stored responses that these items refer to: some items are sent as just an id."""
    responses = set()
    for item in given if isinstance(given, list) else ():
        if isinstance(item, dict) and isinstance(id := item.get("id"), str) and _is_reference(item):
            response = response_of(id)
            if response is not None:
                responses.add(response)
    return responses


def referred_bytes(given: Any, known: Mapping[str, Item]) -> int:
    """The total size in bytes of the items that are referred to, counting repetitions."""
    names = [item["id"] for item in given if isinstance(item, dict) and _is_reference(item) and _names(item, known)]
    return sum(large_json.size(known[id]) * count for id, count in Counter(names).items())


def read_items(
    body: Fields,
    response: str,
    seal: BoundSeal,
    earlier: list[Item],
    known: Mapping[str, Item],
    most: int,
    levels: Collection[str],
    dropped: DroppedThoughts,
) -> list[Item]:
    """The items of `input` for the new response with the id `response`, after the `earlier` items of the conversation.

    `known` are the items that may be referred to, by id; `levels` are the model's effort levels; `dropped` collects the
    encrypted reasoning that is not used. InvalidRequest: an item is invalid.
    """
    given = body.any("input")
    if given is None:
        raise body.missing("input")
    if isinstance(given, str):
        if not given:
            raise body.wrong("input", "must not be empty.", "empty_string")
        part = {"type": "input_text", "text": given}
        return [_message(input_item_id(response, "msg", 0), "user", [part])]
    if not isinstance(given, list):
        raise checks.wrong_type("input", "a string or a list of items", given)
    if not given:
        raise body.wrong("input", "must hold at least one item.", "empty_array")
    if len(given) + len(earlier) > most:
        raise body.wrong(
            "input", f"may hold at most {most} items, including those of the previous responses.", "array_too_long"
        )
    reader = _Reader(response, seal, known, ("auto", *levels), dropped)
    for item in earlier:
        reader.note(item, None)
    return [reader.read(item, index) for index, item in enumerate(body.rows("input"))]


class _Reader:
    def __init__(
        self,
        response: str,
        seal: BoundSeal,
        known: Mapping[str, Item],
        efforts: Sequence[str],
        dropped: DroppedThoughts,
    ) -> None:
        self._response = response
        self._seal = seal
        self._known = known
        self._efforts = efforts
        self._dropped = dropped
        # The kind of each call so far by its id, and the ids of calls that have an output.
        self._called: dict[str, str] = {}
        self._answered: set[str] = set()

    def read(self, item: Fields, index: int) -> Item:
        if _is_reference(item.given):
            id = item.needed("id")
            found = self._known.get(id)
            if found is None:
                raise UnknownItem(id, item.param("id"))
            self.note(found, item)
            return found
        kind = item.text("type") or ("message" if item.any("role") is not None else None)
        if kind is None:
            raise item.missing("type")
        read = _READERS.get(kind)
        if read is None:
            raise Unsupported(item.param("type"), f"{kind[:100]!r} is not a supported item type.")
        prefix, reader = read
        id = item.text("id", 512) or input_item_id(self._response, prefix, index)
        made = reader(self, item, id)
        self.note(made, item)
        return made

    def note(self, item: Item, where: Fields | None) -> None:
        """Match outputs to calls; `where` is None for stored items, which were checked before."""
        kind, id = item["type"], item.get("call_id")
        if kind in CALLS.values():
            if where is not None and id in self._called:
                raise where.wrong("call_id", f"{str(id)[:100]!r} is the id of two calls.")
            self._called[str(id)] = kind
        elif kind in CALLS:
            if where is not None and self._called.get(str(id)) != CALLS[kind]:
                raise where.wrong("call_id", f"{str(id)[:100]!r} does not match an earlier {CALLS[kind]}.")
            if where is not None and id in self._answered:
                raise where.wrong("call_id", f"{str(id)[:100]!r} already has an output.")
            self._answered.add(str(id))

    def message(self, item: Fields, id: str) -> Item:
        role = item.required_word("role", ROLES)
        content = item.any("content")
        if content is None:
            raise item.missing("content")
        if isinstance(content, str):
            return _message(id, role, [_text(role, content)])
        if not isinstance(content, list):
            raise checks.wrong_type(item.param("content"), "a string or a list of parts", content)
        parts = [_output_part(part) if role == "assistant" else _part(part) for part in item.rows("content")]
        return _message(id, role, parts)

    def reasoning(self, item: Fields, id: str) -> Item:
        """Encrypted reasoning replaces the item's own content, unless it is dropped."""
        made: Item = {"type": "reasoning", "id": id, "summary": [], "status": "completed"}
        for name, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
            parts = item.rows(name)
            for part in parts:
                part.word("type", (kind,))
            if parts or name == "summary":
                made[name] = [{"type": kind, "text": part.required("text")} for part in parts]
        sealed = item.text("encrypted_content")
        if sealed is not None:
            thought = self._seal.open(sealed)
            if thought is None:
                message = "was not issued by this gateway for this API key, or was modified."
                raise item.wrong("encrypted_content", message, "invalid_encrypted_content")
            if isinstance(thought, ForeignSeal):
                self._dropped.add(thought)
            else:
                made["content"] = [{"type": "reasoning_text", "text": thought}]
        return made

    def call(self, item: Fields, id: str) -> Item:
        made = {"type": "function_call", "id": id, "call_id": item.needed("call_id"), "name": _name(item)}
        return {**made, "arguments": item.required("arguments"), "status": "completed"}

    def custom_call(self, item: Fields, id: str) -> Item:
        made = {"type": "custom_tool_call", "id": id, "call_id": item.needed("call_id"), "name": _name(item)}
        return {**made, "input": item.required("input"), "status": "completed"}

    def output(self, item: Fields, id: str) -> Item:
        output = item.any("output")
        if output is None:
            raise item.missing("output")
        if isinstance(output, list):
            output = [_part(part) for part in item.rows("output")]
        elif not isinstance(output, str):
            raise checks.wrong_type(item.param("output"), "a string or a list of parts", output)
        call = item.needed("call_id")
        return {"type": item.text("type"), "id": id, "call_id": call, "output": output, "status": "completed"}

    def update(self, item: Fields, id: str) -> Item:
        made: Item = {"type": "configuration_update", "id": id}
        effort = item.table("reasoning").word("effort", self._efforts)
        if effort is not None:
            made["reasoning"] = {"effort": effort}
        text = item.table("text")
        if text.any("format") is not None:
            form = text.table("format")
            read_format(form)
            made["text"] = {"format": form.given}
        if len(made) == 2:
            raise item.missing("reasoning")
        return made


_READERS = {
    "message": ("msg", _Reader.message),
    "reasoning": ("rs", _Reader.reasoning),
    "function_call": ("fc", _Reader.call),
    "function_call_output": ("fco", _Reader.output),
    "custom_tool_call": ("ctc", _Reader.custom_call),
    "custom_tool_call_output": ("ctco", _Reader.output),
    "configuration_update": ("cu", _Reader.update),
}


def _is_reference(item: Mapping[str, Any]) -> bool:
    """Whether an item only refers to a stored one: by its type, or as a reasoning item without any text."""
    kind = item.get("type")
    if kind == "reasoning":
        return not (item.get("content") or item.get("summary") or item.get("encrypted_content"))
    return kind == "item_reference" or (kind is None and "role" not in item and "id" in item)


def _names(item: Mapping[str, Any], known: Mapping[str, Item]) -> bool:
    id = item.get("id")
    return isinstance(id, str) and id in known


def _message(id: str, role: str, content: list[Any]) -> Item:
    return {"type": "message", "id": id, "role": role, "content": content, "status": "completed"}


def _text(role: str, text: str) -> dict[str, Any]:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": []}
    return {"type": "input_text", "text": text}


def _output_part(part: Fields) -> dict[str, Any]:
    """A content part of an assistant message."""
    kind = part.required("type")
    if kind == "refusal":
        return {"type": "refusal", "refusal": part.required("refusal")}
    if kind not in ("output_text", "input_text"):
        raise part.wrong("type", f"{kind[:100]!r} is not a content type of an answer.")
    return _text("assistant", part.required("text"))


def _part(part: Fields) -> dict[str, Any]:
    """An input part."""
    kind = part.required("type")
    if kind in ("input_text", "output_text"):
        return {"type": "input_text", "text": part.required("text")}
    if kind == "input_image":
        _refuse_stored(part, "file_id")
        url = part.needed("image_url")
        return {"type": "input_image", "image_url": url, "detail": part.word("detail", DETAILS) or "auto"}
    if kind == "input_file":
        _refuse_stored(part, "file_id", "file_url")
        name = part.text("filename") or "file"
        return {"type": "input_file", "file_data": part.needed("file_data"), "filename": name}
    if kind == "input_audio":
        audio = part.table("input_audio")
        given = {"data": audio.needed("data"), "format": audio.needed("format")}
        return {"type": "input_audio", "input_audio": given}
    raise Unsupported(part.param("type"), f"{kind[:100]!r} is not a supported content type.")


def _refuse_stored(part: Fields, *names: str) -> None:
    for name in names:
        if part.any(name) is not None:
            raise Unsupported(part.param(name), "is not supported: the gateway stores no files. Send the data itself.")


def _name(item: Fields) -> str:
    if item.any("namespace") is not None:
        raise Unsupported(item.param("namespace"), "is not supported: it belongs to hosted tools.")
    return item.needed("name")

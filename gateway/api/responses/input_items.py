"""The items of a request, checked and brought into one form: each with a type and an id, contents as lists of parts."""

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
    """The responses that must be looked up to read these items: some items are sent as no more than an id."""
    wanted = set()
    for item in given if isinstance(given, list) else ():
        if isinstance(item, dict) and isinstance(id := item.get("id"), str) and _is_reference(item):
            response = response_of(id)
            if response is not None:
                wanted.add(response)
    return wanted


def referred_bytes(given: Any, known: Mapping[str, Item]) -> int:
    """How long the items are that others stand for, each as often as it is named."""
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
    left_out: DroppedThoughts,
) -> list[Item]:
    """The items of `input`, for a response with this id to be, after what was said `earlier` in the responses before.

    `known` are the items that may be referred to, by their ids; `levels` the efforts that the model has names for;
    `left_out` gets the sealed thoughts that are not taken up.
    InvalidRequest says which item is wrong, and how.
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
    reader = _Reader(response, seal, known, ("auto", *levels), left_out)
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
        left_out: DroppedThoughts,
    ) -> None:
        self._response = response
        self._seal = seal
        self._known = known
        self._efforts = efforts
        self._left_out = left_out
        # The calls so far, and those that have their output.
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
        """Keep account of calls and their outputs; `where` is None for what was checked when it came."""
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
        if item.any("role") is None:
            raise item.missing("role")
        role = item.word("role", ROLES)
        assert role is not None, "there is one"
        content = item.any("content")
        if content is None:
            raise item.missing("content")
        if isinstance(content, str):
            return _message(id, role, [_text(role, content)])
        if not isinstance(content, list):
            raise checks.wrong_type(item.param("content"), "a string or a list of parts", content)
        parts = [_said_part(part) if role == "assistant" else _part(part) for part in item.rows("content")]
        return _message(id, role, parts)

    def reasoning(self, item: Fields, id: str) -> Item:
        """Sealed thoughts are opened: what is inside counts, whatever else the item says, unless it is left out."""
        made: Item = {"type": "reasoning", "id": id, "summary": [], "status": "completed"}
        for name, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
            parts = item.rows(name)
            for part in parts:
                part.word("type", (kind,))
                if part.text("text") is None:
                    raise part.missing("text")
            if parts or name == "summary":
                made[name] = [{"type": kind, "text": part.text("text")} for part in parts]
        sealed = item.text("encrypted_content")
        if sealed is not None:
            thought = self._seal.open(sealed)
            if thought is None:
                said = "was not issued by this gateway for this API key, or was modified."
                raise item.wrong("encrypted_content", said, "invalid_encrypted_content")
            if isinstance(thought, ForeignSeal):
                self._left_out.add(thought)
            else:
                made["content"] = [{"type": "reasoning_text", "text": thought}]
        return made

    def call(self, item: Fields, id: str) -> Item:
        made = {"type": "function_call", "id": id, "call_id": item.needed("call_id"), "name": _name(item)}
        return {**made, "arguments": _given(item, "arguments"), "status": "completed"}

    def custom_call(self, item: Fields, id: str) -> Item:
        made = {"type": "custom_tool_call", "id": id, "call_id": item.needed("call_id"), "name": _name(item)}
        return {**made, "input": _given(item, "input"), "status": "completed"}

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
    """Whether an item is an id and no more: said to be one, or a thought of which nothing else was kept."""
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


def _said_part(part: Fields) -> dict[str, Any]:
    """A part of what the model said."""
    kind = part.text("type")
    if kind == "refusal":
        return {"type": "refusal", "refusal": _given(part, "refusal")}
    if kind not in ("output_text", "input_text"):
        raise (
            part.missing("type")
            if kind is None
            else part.wrong("type", f"{kind[:100]!r} is not a content type of an answer.")
        )
    return _text("assistant", _given(part, "text"))


def _part(part: Fields) -> dict[str, Any]:
    """A content part for the model."""
    kind = part.text("type")
    if kind is None:
        raise part.missing("type")
    if kind in ("input_text", "output_text"):
        return {"type": "input_text", "text": _given(part, "text")}
    if kind == "input_image":
        return {"type": "input_image", "image_url": _url(part), "detail": part.word("detail", DETAILS) or "auto"}
    if kind == "input_file":
        _refuse_stored(part, "file_id", "file_url")
        return {
            "type": "input_file",
            "file_data": part.needed("file_data"),
            "filename": part.text("filename") or "file",
        }
    if kind == "input_audio":
        sound = part.table("input_audio")
        given = {"data": sound.needed("data"), "format": sound.needed("format")}
        return {"type": "input_audio", "input_audio": given}
    raise Unsupported(part.param("type"), f"{kind[:100]!r} is not a supported content type.")


def _url(part: Fields) -> str:
    _refuse_stored(part, "file_id")
    return part.needed("image_url")


def _refuse_stored(part: Fields, *names: str) -> None:
    for name in names:
        if part.any(name) is not None:
            raise Unsupported(part.param(name), "is not supported: the gateway stores no files. Send the data itself.")


def _name(item: Fields) -> str:
    if item.any("namespace") is not None:
        raise Unsupported(item.param("namespace"), "is of tools that are not supported.")
    return item.needed("name")


def _given(fields: Fields, name: str) -> str:
    """A text that must be there, but may be empty."""
    value = fields.text(name)
    if value is None:
        raise fields.missing(name)
    return value

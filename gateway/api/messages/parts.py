"""Converts input blocks to the content parts of chat completions: text and images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from gateway.api.fields import Fields

Json = dict[str, Any]

MEDIA_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def parts(block: Fields) -> list[Json]:
    """The parts of one block. InvalidRequest: its type has no equivalent, or it is invalid."""
    kind = block.required("type")
    make = _PARTS.get(kind)
    if make is None:
        raise block.unsupported("type", f"{kind[:60]!r} is not supported: {', '.join(_PARTS)} are.")
    return make(block)


def text_part(text: str) -> list[Json]:
    """A text part; none for an empty text."""
    return [{"type": "text", "text": text}] if text else []


def of_content(outer: Fields, name: str) -> Iterator[Json]:
    """The parts of a field that holds a string or blocks."""
    value = outer.any(name)
    if isinstance(value, str):
        yield from text_part(value)
        return
    if value is not None and not isinstance(value, list):
        raise outer.wrong_type(name, "a string or a list of blocks")
    for block in outer.each(name):
        yield from parts(block)


def _text(block: Fields) -> list[Json]:
    return text_part(block.required("text"))


def _image(block: Fields) -> list[Json]:
    source = block.required_object("source")
    kind = source.required("type")
    if kind == "base64":
        data = source.required("data")
        url = f"data:{source.required_word('media_type', MEDIA_TYPES)};base64,{data}"
    elif kind == "url":
        url = source.required("url")
    elif kind == "file":
        raise source.unsupported("type", "'file' is not supported: the gateway stores no files. Send base64 or url.")
    else:
        raise source.wrong("type", f"must be one of base64, url, not {kind[:40]!r}.")
    return [{"type": "image_url", "image_url": {"url": url}}]


def _document(block: Fields) -> list[Json]:
    """A text document, between tags."""
    source = block.required_object("source")
    if block.table("citations").any("enabled"):
        raise block.unsupported("citations", "are not supported.")
    kind = source.required("type")
    if kind == "text":
        source.word("media_type", ("text/plain",))
        inner = text_part(source.required("data"))
    elif kind == "content":
        inner = list(of_content(source, "content"))
    else:
        message = f"{kind[:40]!r} is not supported: send the document's text, as a source of type text or content."
        raise source.unsupported("type", message)
    title, context = block.text("title"), block.text("context")
    opening = f"<document title={quoteattr(title)}>" if title else "<document>"
    if context:
        opening += f"\n<context>{escape(context)}</context>"
    return [*text_part(opening), *inner, *text_part("</document>")]


def _search_result(block: Fields) -> list[Json]:
    title, source = block.required("title"), block.required("source")
    opening = f"<search_result title={quoteattr(title)} source={quoteattr(source)}>"
    return [*text_part(opening), *of_content(block, "content"), *text_part("</search_result>")]


def _tool_reference(block: Fields) -> list[Json]:
    """A tool that a search found. The model knows all tools already, so the name is enough."""
    return text_part(block.required("tool_name"))


_PARTS: dict[str, Callable[[Fields], list[Json]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_reference": _tool_reference,
}

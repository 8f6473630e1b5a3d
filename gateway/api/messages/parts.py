"""Blocks that say something to the model, as the parts that chat completions know: text and images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from xml.sax.saxutils import escape, quoteattr

from gateway.api.checks import wrong_type, wrong_value
from gateway.api.messages import fields
from gateway.api.messages.fields import Json, at

MEDIA_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def parts(block: Json, where: str) -> list[Json]:
    """The parts of one block. InvalidRequest: it is of a type that no chat completion can say, or broken."""
    kind = fields.text(block, "type", where)
    make = _PARTS.get(kind)
    if make is None:
        raise fields.unsupported(at(where, "type"), f"{kind[:60]!r} is not offered here: {', '.join(_PARTS)} are.")
    return make(block, where)


def said(text: str) -> list[Json]:
    """Nothing, for an empty text."""
    return [{"type": "text", "text": text}] if text else []


def of_content(outer: Json, name: str, where: str) -> Iterator[Json]:
    """The parts of a field that holds a string or blocks."""
    value = outer.get(name)
    if isinstance(value, str):
        yield from said(value)
        return
    if value is not None and not isinstance(value, list):
        raise wrong_type(at(where, name), "a string or a list of blocks", value)
    for block, here in fields.tables(outer, name, where):
        yield from parts(block, here)


def _text(block: Json, where: str) -> list[Json]:
    return said(fields.text(block, "text", where))


def _image(block: Json, where: str) -> list[Json]:
    source, here = _source(block, where)
    kind = fields.text(source, "type", here)
    if kind == "base64":
        data = fields.text(source, "data", here)
        url = f"data:{fields.word(source, 'media_type', here, MEDIA_TYPES)};base64,{data}"
    elif kind == "url":
        url = fields.text(source, "url", here)
    elif kind == "file":
        raise fields.unsupported(at(here, "type"), "'file' is not offered here: no files are kept. Send base64 or url.")
    else:
        raise wrong_value(at(here, "type"), f"must be one of base64, url, not {kind[:40]!r}.")
    return [{"type": "image_url", "image_url": {"url": url}}]


def _document(block: Json, where: str) -> list[Json]:
    """A document of text, with a mark where it begins and ends."""
    source, here = _source(block, where)
    if (fields.table(block, "citations", where) or {}).get("enabled"):
        raise fields.unsupported(at(where, "citations"), "are not offered here.")
    kind = fields.text(source, "type", here)
    if kind == "text":
        fields.word(source, "media_type", here, ("text/plain",), default="text/plain")
        inner = said(fields.text(source, "data", here))
    elif kind == "content":
        inner = list(of_content(source, "content", here))
    else:
        message = f"{kind[:40]!r} is not offered here: send the document's text, as a source of type text or content."
        raise fields.unsupported(at(here, "type"), message)
    title, context = fields.some_text(block, "title", where), fields.some_text(block, "context", where)
    opening = f"<document title={quoteattr(title)}>" if title else "<document>"
    if context:
        opening += f"\n<context>{escape(context)}</context>"
    return [*said(opening), *inner, *said("</document>")]


def _search_result(block: Json, where: str) -> list[Json]:
    title, source = fields.text(block, "title", where), fields.text(block, "source", where)
    opening = f"<search_result title={quoteattr(title)} source={quoteattr(source)}>"
    return [*said(opening), *of_content(block, "content", where), *said("</search_result>")]


def _tool_reference(block: Json, where: str) -> list[Json]:
    """A tool that was found: all tools are before the model already, so its name is enough."""
    return said(fields.text(block, "tool_name", where))


def _source(block: Json, where: str) -> tuple[Json, str]:
    source = fields.table(block, "source", where)
    if source is None:
        raise fields.missing(at(where, "source"))
    return source, at(where, "source")


_PARTS: dict[str, Callable[[Json, str], list[Json]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_reference": _tool_reference,
}

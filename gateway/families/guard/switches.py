"""Words in a text that switch thinking on: they are removed, and the answer says so."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from gateway.core.aliases import JsonObject
from gateway.core.call import Call
from gateway.core.family import Family
from gateway.families.guard.marks import joined
from gateway.families.guard.nested import nested
from gateway.families.guard.refused import refused

# Letters that look like those of a switch, or are invisible.
_DISGUISED = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\uff01-\uff5e\U0001d400-\U0001d7ff]")


_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


# Removing a word can join the parts of another one; text that needs more passes was nested on purpose.
_PASSES = 3
_MOST_TAKEN_OUT = 10_000


def without_switches(call: Call, family: Family, notes: list[str]) -> Sequence[JsonObject]:
    """The messages without words that turn thinking on. NotAllowed: such words are split, disguised, or where they
    cannot be removed.
    """
    messages: Sequence[JsonObject] = call.body["messages"]
    if not family.soft_switches:
        return messages
    pattern = _switches(family.soft_switches)
    for name in ("tools", "functions", "documents"):
        for index, each in enumerate(given if type(given := call.body.get(name)) is list else ()):
            if any(type(text) is str and _cleaned(text, pattern) is not text for text in nested(each)):
                raise refused(f"{name}[{index}]", "it may not contain words that turn thinking on")
    changed: list[JsonObject] = []
    found = 0
    for index, message in enumerate(messages):
        result = message if message["role"] == "assistant" else _without(message, pattern, f"messages[{index}].content")
        found += result is not message
        changed.append(result)
    for place, text in joined(changed):
        if _cleaned(text, pattern) is not text:
            raise refused(place, "words that turn thinking on may not be split")
    if not found:
        return messages
    notes.append(f"the key's thinking is limited: words that turn it on were removed from {found} messages")
    return changed


def _without(message: JsonObject, pattern: re.Pattern[str], place: str) -> JsonObject:
    content = message.get("content")
    if type(content) is str:
        result = _strip(content, pattern, place)
        return message if result is content else {**message, "content": result}
    if type(content) is not list:
        return message
    parts = [_clean_part(part, pattern, place) for part in content]
    return (
        message if all(new is old for new, old in zip(parts, content, strict=True)) else {**message, "content": parts}
    )


def _clean_part(part: Any, pattern: re.Pattern[str], place: str) -> Any:
    result = part
    for name, text in part.items() if type(part) is dict else ():
        if type(text) is str and name != "type" and (new := _strip(text, pattern, place)) is not text:
            result = {**result, name: new}
    return result


def _strip(text: str, pattern: re.Pattern[str], place: str) -> str:
    """The text without switches; the same object if there are none."""
    result = text
    for _ in range(_PASSES):
        before, result = result, _cleaned(result, pattern, place)
        if result is before:
            break
    else:
        raise refused(place, "words that turn thinking on may not be nested")
    if not result.isascii() and _DISGUISED.search(result):
        plain = unicodedata.normalize("NFKC", _UNSEEN.sub("", result))
        if _cleaned(plain, pattern) is not plain:
            raise refused(place, "words that turn thinking on may not be disguised")
    return result


def _cleaned(text: str, pattern: re.Pattern[str], place: str = "messages") -> str:
    """One pass of removal; the same object if there is nothing to remove."""
    # İ is the only letter whose lower case has a different length.
    small = (text if text.isascii() else text.replace("\u0130", "i")).lower()
    kept, end = [], 0
    for match in pattern.finditer(small):
        start = match.start()
        if match.lastgroup or not start or not (small[start - 1].isalnum() or small[start - 1] in "_/.-"):
            kept.append(text[end:start])
            end = match.end()
            if len(kept) > _MOST_TAKEN_OUT:
                raise refused(place, "words that turn thinking on may not occur so often")
    return "".join((*kept, text[end:])) if end else text


@cache
def _switches(phrases: tuple[str, ...]) -> re.Pattern[str]:
    """Matches whole words, not parts of a path or a longer word, except phrases with a `*` at both ends."""
    anywhere = [phrase.strip("*") for phrase in phrases if phrase.startswith("*")]
    words = [phrase for phrase in phrases if not phrase.startswith("*")]
    ways = [f"(?P<anywhere>{'|'.join(_spaced(anywhere))})"] if anywhere else []
    ways += [rf"(?:{'|'.join(_spaced(words))})(?![\w/-])"] if words else []
    return re.compile("|".join(ways))


def _spaced(phrases: Iterable[str]) -> Iterator[str]:
    return (r"\s*".join(map(re.escape, phrase.lower().split())) for phrase in phrases)

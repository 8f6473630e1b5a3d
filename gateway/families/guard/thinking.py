"""Refuses attempts to bypass a key's thinking limit.

A prompt other than the one the template makes of the messages, a sampler biased towards reasoning, or the template's
own control tokens would undo the effort that the gateway sets. They are refused with the field's name. Words in a text
that turn thinking on (`/think`) are removed, with a note in the answer: they may have been meant literally.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import orjson

from gateway.core.aliases import JsonObject
from gateway.core.call import Call
from gateway.core.end_text import parse_end_text
from gateway.core.errors import NotAllowed
from gateway.core.family import Family

Marks = tuple[re.Pattern[bytes], ...]

CODE = "effort_not_allowed"
# Fields that make the last message something other than a question.
_PROMPT = {"continue_final_message": (None, False), "add_generation_prompt": (None, True)}
_BEGUN = ("prefix", "partial")
_OWN_ROLES = ("assistant", "model", "ai", "bot")
# Fields whose names relate to thinking; those that the gateway reads and rewrites are harmless.
_ABOUT = re.compile(r"think|reason|effort|ponder|thought|deliberat|budget|template|prefill", re.IGNORECASE)
_READ = frozenset(
    {
        *("reasoning_effort", "reasoning", "thinking", "thinking_token_budget", "thinking_budget", "enable_thinking"),
        *("include_reasoning", "reasoning_content", "thinkgate", "chat_template_kwargs"),
    }
)
# Objects with the client's own field names, or that are inspected separately.
_CLOSED = frozenset(
    {
        *("reasoning", "thinking", "thinkgate", "chat_template_kwargs", "extra_body", "metadata", "logit_bias"),
        *("messages", "tools", "functions", "documents", "tool_choice", "response_format", "structured_outputs"),
        *("guided_json", "json_schema"),
    }
)
# Text that never enters a prompt.
_NOT_SAID = frozenset(
    {*("model", "user", "metadata", "safety_identifier", "prompt_cache_key", "stop", "bad_words", "logit_bias")}
)
_READ_BY_TEMPLATE = frozenset(
    {"reasoning_effort", "thinking_effort", "thinking_budget", "enable_thinking", "thinking", "thinking_mode"}
)
# Such names inside other objects that the gateway reads and rewrites.
_READ_INSIDE = {("custom_params", "thinking_budget")}
# A grammar can describe reasoning.
_GRAMMARS = (
    *("structured_outputs", "response_format", "guided_regex", "guided_grammar", "guided_choice", "guided_json"),
    *("regex", "ebnf", "grammar", "json_schema", "guided_structural_tag"),
)
# The names that matter here, which backends must not read in another case.
_SPELLED_SMALL = frozenset(
    {
        *_PROMPT, *_BEGUN, *_READ, *_READ_BY_TEMPLATE, *_GRAMMARS, "messages", "role", "content", "extra_body",
        *("logit_bias", "allowed_token_ids", "stop", "bad_words", "tools", "functions", "documents", "max_tokens"),
    }
)  # fmt: skip
# How regular expressions and grammars can escape the characters of markers.
_SPELLED = (
    *((rf"\x{ord(letter):02x}", letter) for letter in "<>/[]|"),
    *((rf"\u{ord(letter):04x}", letter) for letter in "<>/[]|"),
    *((rf"\u{{{ord(letter):x}}}", letter) for letter in "<>/[]|"),
    *((f"[{letter}]", letter) for letter in "<>/|"),
    *((f"\\{letter}", letter) for letter in "<>/[]|"),
    *(('" "', ""), ('""', "")),
)
# Letters that look like those of a switch, or are invisible.
_DISGUISED = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\uff01-\uff5e\U0001d400-\U0001d7ff]")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
# Removal may join what was apart; needing it repeatedly is deliberate.
_PASSES = 3
_MOST_TAKEN_OUT = 10_000


def check(call: Call, family: Family, thinks: bool) -> None:
    """NotAllowed: the request tries to bypass the limit. `thinks`: the applied effort thinks."""
    body = call.body
    _check_case(body)
    _check_prompt(body)
    _check_names(body, family)
    _check_sampler(body, family, thinks)
    _check_marks(body, family.control_tokens)


def _check_case(body: JsonObject) -> None:
    """NotAllowed: a relevant name in another case, which some backends read."""
    messages = body["messages"]
    for where, table in (("", body), (f"messages[{len(messages) - 1}].", messages[-1] if messages else {})):
        for name in table:
            if not (name.isascii() and name.islower()) and name.casefold() in _SPELLED_SMALL:
                raise _refused(f"{where}{name[:100]}", f"it is spelled {name.casefold()!r}")


def _check_prompt(body: JsonObject) -> None:
    for name, harmless in _PROMPT.items():
        if body.get(name) not in harmless:
            raise _refused(name, "it changes the prompt that carries the effort")
    messages = body["messages"]
    last = messages[-1] if messages else {}
    if str(last.get("role")).strip().lower() in _OWN_ROLES:
        raise _refused(f"messages[{len(messages) - 1}].role", "prefilled answers are not supported")
    for name in _BEGUN:
        if last.get(name):
            raise _refused(f"messages[{len(messages) - 1}].{name}", "prefilled answers are not supported")


def _check_names(body: JsonObject, family: Family) -> None:
    for name in body:
        if name not in _READ and _ABOUT.search(name):
            raise _refused(name[:100], "the effort is named in reasoning_effort")
        if name not in _CLOSED and (inner := _inside(body[name])) is not None and (name, inner) not in _READ_INSIDE:
            raise _refused(f"{name[:100]}.{inner[:100]}", "the effort is named in reasoning_effort")
    kwargs = body.get("chat_template_kwargs")
    if type(kwargs) is dict:
        known = _READ_BY_TEMPLATE | _template_words(family)
        for name in kwargs:
            if name not in known:
                raise _refused(f"chat_template_kwargs.{name[:100]}", "templates may think because of it")
    extra = body.get("extra_body")
    if type(extra) is dict and not _is_known_extra(extra):
        raise _refused("extra_body", "fields go at the top of the body")


def _inside(value: Any) -> str | None:
    """The first name, at any depth, that relates to thinking."""
    level = [value] if type(value) in (dict, list) else []
    while level:
        tables = [one for one in level if type(one) is dict]
        for table in tables:
            for name in table:
                if _ABOUT.search(name):
                    return str(name)
        rows = [inner for one in level for inner in (one.values() if type(one) is dict else one)]
        level = [one for one in rows if type(one) in (dict, list)]
    return None


def _is_known_extra(extra: JsonObject) -> bool:
    google = extra.get("google", {})
    return extra.keys() <= {"google"} and type(google) is dict and google.keys() <= {"thinking_config"}


def _template_words(family: Family) -> set[str]:
    """Template fields that the gateway sets itself, replacing the client's."""
    told = (family.on, family.off, family.history_with, family.budget_with)
    return {name for one in told if one for name in one.get("chat_template_kwargs", ())}


def _check_sampler(body: JsonObject, family: Family, thinks: bool) -> None:
    bias = body.get("logit_bias")
    if bias:
        # Engines convert strings to numbers, and accept lists of pairs.
        values = bias.values() if type(bias) is dict else ()
        numbers = [value for value in values if type(value) in (int, float)]
        if not numbers or len(numbers) < len(bias) or max(numbers) > 0 or (thinks and min(numbers) < 0):
            raise _refused("logit_bias", "it may force the model to think")
    for name in ("allowed_token_ids", *(("stop_token_ids", "min_tokens") if thinks else ())):
        if body.get(name):
            raise _refused(name, "it may force the model to think")
    end = parse_end_text(family.end_text)
    marks = (end.start, end.mark) if end is not None else ()
    for name in ("stop", "bad_words"):
        words = body.get(name)
        for word in [words] if type(words) is str else words if type(words) is list else ():
            if type(word) is str and any(mark in word or word in mark for mark in marks if word):
                raise _refused(name, "it may not contain what begins or ends reasoning")
    for name in _GRAMMARS:
        if marks and body.get(name) and any(mark.lower() in text for text in _spellings(body[name]) for mark in marks):
            raise _refused(name, "it may not contain what begins or ends reasoning")


def _spellings(grammar: Any) -> tuple[str, str]:
    """A grammar in lower case, as written and unescaped."""
    text = plain = orjson.dumps(grammar).decode().lower().replace(r"\\", "\\").replace(r"\"", '"')
    for spelled, letter in _SPELLED:
        plain = plain.replace(spelled, letter)
    return text, plain


def _check_marks(body: JsonObject, control: tuple[str, ...]) -> None:
    marks = _patterns(control)
    for name, said in body.items():
        if name not in _NOT_SAID and type(said) in (str, list, dict) and said and _holds(said, marks):
            raise _refused(_place(name, said, marks)[:100], "it may not contain template markers")
    for place, text in (*_joined(body["messages"]), *_decoded(body["messages"])):
        if _holds(text, marks):
            raise _refused(place, "it may not contain template markers, split or escaped ones included")


def _joined(messages: Sequence[JsonObject]) -> Iterator[tuple[str, str]]:
    """The concatenation of texts in several parts, as templates write them."""
    for index, message in enumerate(messages):
        content = message.get("content")
        if type(content) is list and len(content) > 1:
            # Whatever the part's text field is called: `text`, `refusal`, `thinking`.
            texts = [
                said
                for part in content
                if type(part) is dict
                for name, said in part.items()
                if type(said) is str and name != "type"
            ]
            yield f"messages[{index}].content", "".join(texts)


def _decoded(messages: Sequence[JsonObject]) -> Iterator[tuple[str, str]]:
    """Decoded tool call arguments: engines parse them as JSON, and templates write the decoded values."""
    for index, message in enumerate(messages):
        for arguments in _arguments(message.get("tool_calls")):
            if "\\" in arguments:
                try:
                    text = json.dumps(json.loads(arguments), ensure_ascii=False)
                except (ValueError, RecursionError):
                    continue  # no engine parses it either
                # Lone surrogates occur in no marker.
                yield f"messages[{index}].tool_calls", text.encode("utf-8", "replace").decode()


def _arguments(calls: Any) -> Iterator[str]:
    for call in calls if type(calls) is list else ():
        for inner in call.values() if type(call) is dict else ():
            for said in inner.values() if type(inner) is dict else ():
                if type(said) is str:
                    yield said


def _holds(said: Any, marks: Marks) -> bool:
    data = orjson.dumps(said)
    return any(mark.search(data) for mark in marks)


def _place(name: str, said: Any, marks: Marks) -> str:
    for index, one in enumerate(said if type(said) is list else ()):
        if _holds(one, marks):
            return f"{name}[{index}].content" if name == "messages" else f"{name}[{index}]"
    return name


@cache
def _patterns(control: tuple[str, ...]) -> Marks:
    """One pattern per common prefix, so that the search for the prefix alone is fast."""
    begun: dict[bytes, list[bytes]] = {}
    for mark in control:
        raw = mark.encode()
        begun.setdefault(raw[:2], []).append(re.escape(raw[2:]))
    return tuple(re.compile(re.escape(first) + b"(?:" + b"|".join(rest) + b")") for first, rest in begun.items())


def without_switches(call: Call, family: Family, notes: list[str]) -> Sequence[JsonObject]:
    """The messages without words that turn thinking on. NotAllowed: such words are split, disguised, or where they
    cannot be removed.
    """
    messages: Sequence[JsonObject] = call.body["messages"]
    if not family.soft_switches:
        return messages
    pattern = _switches(family.soft_switches)
    for name in ("tools", "functions", "documents"):
        for index, one in enumerate(given if type(given := call.body.get(name)) is list else ()):
            if any(_cleaned(text, pattern) is not text for text in _all_texts(one)):
                raise _refused(f"{name}[{index}]", "it may not contain words that turn thinking on")
    changed: list[JsonObject] = []
    found = 0
    for index, message in enumerate(messages):
        told = message if message["role"] == "assistant" else _without(message, pattern, f"messages[{index}].content")
        found += told is not message
        changed.append(told)
    for place, text in _joined(changed):
        if _cleaned(text, pattern) is not text:
            raise _refused(place, "words that turn thinking on may not be split")
    if not found:
        return messages
    notes.append(f"the key's thinking is limited: words that turn it on were removed from {found} messages")
    return changed


def _all_texts(value: Any) -> Iterator[str]:
    level = [value]
    while level:
        yield from (one for one in level if type(one) is str)
        level = [
            inner
            for one in level
            if type(one) in (dict, list)
            for inner in (one.values() if type(one) is dict else one)
        ]


def _without(message: JsonObject, pattern: re.Pattern[str], place: str) -> JsonObject:
    content = message.get("content")
    if type(content) is str:
        told = _rid(content, pattern, place)
        return message if told is content else {**message, "content": told}
    if type(content) is not list:
        return message
    parts = [_clean_part(part, pattern, place) for part in content]
    return (
        message if all(new is old for new, old in zip(parts, content, strict=True)) else {**message, "content": parts}
    )


def _clean_part(part: Any, pattern: re.Pattern[str], place: str) -> Any:
    told = part
    for name, said in part.items() if type(part) is dict else ():
        if type(said) is str and name != "type" and (new := _rid(said, pattern, place)) is not said:
            told = {**told, name: new}
    return told


def _rid(text: str, pattern: re.Pattern[str], place: str) -> str:
    """The text without switches; the same object if there are none."""
    told = text
    for _ in range(_PASSES):
        before, told = told, _cleaned(told, pattern, place)
        if told is before:
            break
    else:
        raise _refused(place, "words that turn thinking on may not be nested")
    if not told.isascii() and _DISGUISED.search(told):
        plain = unicodedata.normalize("NFKC", _UNSEEN.sub("", told))
        if _cleaned(plain, pattern) is not plain:
            raise _refused(place, "words that turn thinking on may not be disguised")
    return told


def _cleaned(text: str, pattern: re.Pattern[str], place: str = "messages") -> str:
    """One pass of removal; the same object if there is nothing to remove."""
    # The only letter whose lower case has another length.
    small = (text if text.isascii() else text.replace("\u0130", "i")).lower()
    kept, end = [], 0
    for match in pattern.finditer(small):
        start = match.start()
        if match.lastgroup or not start or not (small[start - 1].isalnum() or small[start - 1] in "_/.-"):
            kept.append(text[end:start])
            end = match.end()
            if len(kept) > _MOST_TAKEN_OUT:
                raise _refused(place, "words that turn thinking on may not occur so often")
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


def _refused(param: str, why: str) -> NotAllowed:
    said = f"{param} may not be set like this by a key whose thinking is limited: {why}."
    return NotAllowed(said, param=param, code=CODE)

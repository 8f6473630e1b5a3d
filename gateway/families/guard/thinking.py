"""Ways round a limit on thinking: what a request may not say whose key may not think as much as it likes.

The effort is told in the family's own words, and enforced; a prompt that is not the one which the template makes of the
messages, a sampler that is pushed towards a thought, or words of the template's own would undo that. They are refused
with the field's name. Words that switch thinking in a text (`/think`) are taken out, and the answer says so: they may
have been meant as words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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
# What makes of the last message something else than a question.
_PROMPT = {"continue_final_message": (None, False), "add_generation_prompt": (None, True)}
_BEGUN = ("prefix", "partial")
_OWN_ROLES = ("assistant", "model", "ai", "bot")
# Fields whose names say that they are about thinking; those that are read, and told anew, are no matter.
_ABOUT = re.compile(r"think|reason|effort|ponder", re.IGNORECASE)
_READ = frozenset(
    {
        *("reasoning_effort", "reasoning", "thinking", "thinking_token_budget", "thinking_budget", "enable_thinking"),
        *("include_reasoning", "reasoning_content", "thinkgate"),
    }
)
_READ_BY_TEMPLATE = frozenset(
    {"reasoning_effort", "thinking_effort", "thinking_budget", "enable_thinking", "thinking", "thinking_mode"}
)
# A grammar can be one of a thought.
_GRAMMARS = (
    *("structured_outputs", "response_format", "guided_regex", "guided_grammar", "guided_choice", "guided_json"),
    *("regex", "ebnf", "grammar", "json_schema", "guided_structural_tag"),
)
# What is written into the prompt.
_SAID = ("messages", "tools", "functions", "documents", "chat_template_kwargs", "response_format")


def check(call: Call, family: Family, thinks: bool) -> None:
    """NotAllowed: one of the ways round. `thinks`: an effort with thinking is applied."""
    body = call.body
    _check_prompt(body)
    _check_names(body, family)
    _check_sampler(body, family, thinks)
    _check_marks(body, family.control_tokens)


def _check_prompt(body: JsonObject) -> None:
    for name, harmless in _PROMPT.items():
        if body.get(name) not in harmless:
            raise _refused(name, "it makes another prompt than the one that the effort is told in")
    messages = body["messages"]
    last = messages[-1] if messages else {}
    if str(last.get("role")).lower() in _OWN_ROLES:
        raise _refused(f"messages[{len(messages) - 1}].role", "the answer cannot be begun for the model")
    for name in _BEGUN:
        if last.get(name):
            raise _refused(f"messages[{len(messages) - 1}].{name}", "the answer cannot be begun for the model")


def _check_names(body: JsonObject, family: Family) -> None:
    for name in body:
        if name not in _READ and _ABOUT.search(name):
            raise _refused(name[:100], "the effort is named in reasoning_effort")
    kwargs = body.get("chat_template_kwargs")
    if type(kwargs) is dict:
        known = _READ_BY_TEMPLATE | _template_words(family)
        for name in kwargs:
            if name not in known:
                raise _refused(f"chat_template_kwargs.{name[:100]}", "templates may think because of it")
    extra = body.get("extra_body")
    if type(extra) is dict and not _is_known_extra(extra):
        raise _refused("extra_body", "fields go at the top of the body")


def _is_known_extra(extra: JsonObject) -> bool:
    google = extra.get("google", {})
    return extra.keys() <= {"google"} and type(google) is dict and google.keys() <= {"thinking_config"}


def _template_words(family: Family) -> set[str]:
    """Those that the gateway tells itself, instead of the client's."""
    told = (family.on, family.off, family.history_with, family.budget_with)
    return {name for one in told if one for name in one.get("chat_template_kwargs", ())}


def _check_sampler(body: JsonObject, family: Family, thinks: bool) -> None:
    bias = body.get("logit_bias")
    if type(bias) is dict and bias:
        least = min((value for value in bias.values() if type(value) in (int, float)), default=0)
        most = max((value for value in bias.values() if type(value) in (int, float)), default=0)
        if most > 0 or (thinks and least < 0):
            raise _refused("logit_bias", "it may push the model into a thought, or keep it there")
    for name in ("allowed_token_ids", *(("stop_token_ids", "min_tokens") if thinks else ())):
        if body.get(name):
            raise _refused(name, "it may push the model into a thought, or keep it there")
    end = parse_end_text(family.end_text)
    marks = (end.start, end.mark) if end is not None else ()
    for name in ("stop", "bad_words"):
        words = body.get(name)
        for word in [words] if type(words) is str else words if type(words) is list else ():
            if type(word) is str and any(mark in word or word in mark for mark in marks if word):
                raise _refused(name, "it may not hold what begins or ends a thought")
    for name in _GRAMMARS:
        if marks and body.get(name) and any(mark.encode() in orjson.dumps(body[name]) for mark in marks):
            raise _refused(name, "it may not hold what begins or ends a thought")


def _check_marks(body: JsonObject, control: tuple[str, ...]) -> None:
    marks = _patterns(control)
    for name in _SAID:
        said = body.get(name)
        if said and _holds(said, marks):
            raise _refused(_place(name, said, marks), "it may not hold the marks that templates write")
    for place, text in _joined(body["messages"]):
        if _holds(text, marks):
            raise _refused(place, "it may not hold the marks that templates write, in pieces either")


def _joined(messages: Sequence[JsonObject]) -> Iterator[tuple[str, str]]:
    """Texts that come in several parts: templates write them one after the other."""
    for index, message in enumerate(messages):
        content = message.get("content")
        if type(content) is list and len(content) > 1:
            texts = [part.get("text") for part in content if isinstance(part, Mapping)]
            yield f"messages[{index}].content", "".join(text for text in texts if type(text) is str)


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
    """One for all that begin alike, so that what they begin with is looked for, which is fast, and nothing else."""
    begun: dict[bytes, list[bytes]] = {}
    for mark in control:
        raw = mark.encode()
        begun.setdefault(raw[:2], []).append(re.escape(raw[2:]))
    return tuple(re.compile(re.escape(first) + b"(?:" + b"|".join(rest) + b")") for first, rest in begun.items())


def without_switches(messages: Sequence[JsonObject], family: Family, notes: list[str]) -> Sequence[JsonObject]:
    """The messages without words of theirs that switch thinking on. NotAllowed: such words are in pieces."""
    if not family.soft_switches:
        return messages
    pattern = _switches(family.soft_switches)
    changed: list[JsonObject] = []
    found = 0
    for message in messages:
        told = message if message["role"] == "assistant" else _without(message, pattern)
        found += told is not message
        changed.append(told)
    for place, text in _joined(changed):
        if _cleaned(text, pattern) is not text:
            raise _refused(place, "words that switch thinking on may not come in pieces")
    if not found:
        return messages
    notes.append(f"the key's thinking is limited: words that switch it on were taken out of {found} messages")
    return changed


def _without(message: JsonObject, pattern: re.Pattern[str]) -> JsonObject:
    content = message.get("content")
    if type(content) is str:
        told = _cleaned(content, pattern)
        return message if told is content else {**message, "content": told}
    if type(content) is not list:
        return message
    parts = list(_clean_parts(content, pattern))
    return (
        message if all(new is old for new, old in zip(parts, content, strict=True)) else {**message, "content": parts}
    )


def _clean_parts(parts: Sequence[Any], pattern: re.Pattern[str]) -> Iterator[Any]:
    for part in parts:
        text = part.get("text") if isinstance(part, Mapping) else None
        told = _cleaned(text, pattern) if type(text) is str else text
        yield part if told is text else {**part, "text": told}


def _cleaned(text: str, pattern: re.Pattern[str]) -> str:
    """The very same object where there is nothing to take out."""
    small = text.lower()
    if len(small) != len(text):  # letters of which the small one has another length
        small = "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)
    kept, end = [], 0
    for match in pattern.finditer(small):
        start = match.start()
        if not start or not (small[start - 1].isalnum() or small[start - 1] in "_/.-"):
            kept.append(text[end:start])
            end = match.end()
    return "".join((*kept, text[end:])) if end else text


@cache
def _switches(phrases: tuple[str, ...]) -> re.Pattern[str]:
    """As words of their own: not the middle of a path, or of a longer word."""
    whole = (r"\s*".join(map(re.escape, phrase.lower().split())) for phrase in phrases)
    return re.compile(rf"(?:{'|'.join(whole)})(?![\w/-])")


def _refused(param: str, why: str) -> NotAllowed:
    said = f"{param} may not be set like this by a key whose thinking is limited: {why}."
    return NotAllowed(said, param=param, code=CODE)

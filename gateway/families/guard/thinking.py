"""Refuses attempts to bypass a key's thinking limit.

A prompt other than the one the template makes of the messages, a sampler biased towards reasoning, or the template's
own control tokens would undo the effort that the gateway sets. They are refused with the field's name. Words in a text
that turn thinking on (`/think`) are removed, with a note in the answer: they may have been meant literally.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from gateway.core.aliases import JsonObject
from gateway.core.call import Call
from gateway.core.end_text import parse_end_text
from gateway.core.family import Family
from gateway.families.guard.marks import check_marks
from gateway.families.guard.nested import nested
from gateway.families.guard.refused import refused

# Fields that turn the last message into the beginning of an answer.
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


def check(call: Call, family: Family, thinks: bool) -> None:
    """NotAllowed: the request tries to bypass the limit. `thinks`: the applied effort thinks."""
    body = call.body
    _check_case(body)
    _check_prompt(body)
    _check_names(body, family)
    _check_sampler(body, family, thinks)
    check_marks(body, family.control_tokens)


def _check_case(body: JsonObject) -> None:
    """NotAllowed: a relevant name in another case, which some backends read."""
    messages = body["messages"]
    for where, table in (("", body), (f"messages[{len(messages) - 1}].", messages[-1] if messages else {})):
        for name in table:
            if not (name.isascii() and name.islower()) and name.casefold() in _SPELLED_SMALL:
                raise refused(f"{where}{name[:100]}", f"it is spelled {name.casefold()!r}")


def _check_prompt(body: JsonObject) -> None:
    for name, harmless in _PROMPT.items():
        if body.get(name) not in harmless:
            raise refused(name, "it changes the prompt that carries the effort")
    messages = body["messages"]
    last = messages[-1] if messages else {}
    if str(last.get("role")).strip().lower() in _OWN_ROLES:
        raise refused(f"messages[{len(messages) - 1}].role", "prefilled answers are not supported")
    for name in _BEGUN:
        if last.get(name):
            raise refused(f"messages[{len(messages) - 1}].{name}", "prefilled answers are not supported")


def _check_names(body: JsonObject, family: Family) -> None:
    for name in body:
        if name not in _READ and _ABOUT.search(name):
            raise refused(name[:100], "the effort is named in reasoning_effort")
        if name not in _CLOSED and (inner := _inside(body[name])) is not None and (name, inner) not in _READ_INSIDE:
            raise refused(f"{name[:100]}.{inner[:100]}", "the effort is named in reasoning_effort")
    kwargs = body.get("chat_template_kwargs")
    if type(kwargs) is dict:
        known = _READ_BY_TEMPLATE | _template_words(family)
        for name in kwargs:
            if name not in known:
                raise refused(f"chat_template_kwargs.{name[:100]}", "templates may think because of it")
    extra = body.get("extra_body")
    if type(extra) is dict and not _is_known_extra(extra):
        raise refused("extra_body", "fields go at the top of the body")


def _inside(value: Any) -> str | None:
    """The first name, at any depth, that relates to thinking."""
    tables = (table for table in nested(value) if type(table) is dict)
    return next((str(name) for table in tables for name in table if _ABOUT.search(name)), None)


def _is_known_extra(extra: JsonObject) -> bool:
    google = extra.get("google", {})
    return extra.keys() <= {"google"} and type(google) is dict and google.keys() <= {"thinking_config"}


def _template_words(family: Family) -> set[str]:
    """Template fields that the gateway sets itself, replacing the client's."""
    own = (family.on, family.off, family.history_with, family.budget_with)
    return {name for one in own if one for name in one.get("chat_template_kwargs", ())}


def _check_sampler(body: JsonObject, family: Family, thinks: bool) -> None:
    bias = body.get("logit_bias")
    if bias:
        # Engines convert strings to numbers, and accept lists of pairs.
        values = bias.values() if type(bias) is dict else ()
        numbers = [value for value in values if type(value) in (int, float)]
        if not numbers or len(numbers) < len(bias) or max(numbers) > 0 or (thinks and min(numbers) < 0):
            raise refused("logit_bias", "it may force the model to think")
    for name in ("allowed_token_ids", *(("stop_token_ids", "min_tokens") if thinks else ())):
        if body.get(name):
            raise refused(name, "it may force the model to think")
    end = parse_end_text(family.end_text)
    marks = (end.start, end.mark) if end is not None else ()
    for name in ("stop", "bad_words"):
        words = body.get(name)
        for word in [words] if type(words) is str else words if type(words) is list else ():
            if type(word) is str and any(mark in word or word in mark for mark in marks if word):
                raise refused(name, "it may not contain what begins or ends reasoning")
    for name in _GRAMMARS:
        if marks and body.get(name) and any(mark.lower() in text for text in _spellings(body[name]) for mark in marks):
            raise refused(name, "it may not contain what begins or ends reasoning")


def _spellings(grammar: Any) -> tuple[str, str]:
    """A grammar in lower case, as written and unescaped."""
    text = plain = orjson.dumps(grammar).decode().lower().replace(r"\\", "\\").replace(r"\"", '"')
    for spelled, letter in _SPELLED:
        plain = plain.replace(spelled, letter)
    return text, plain

"""Validates the fields of a request besides its items and tools.

Unsupported features of OpenAI's API are refused, unless ignoring them makes no difference. `truncation` is ignored: the
backend refuses a conversation that is too long either way, and the response says `disabled`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.api import checks
from gateway.api.fields import Fields
from gateway.api.responses.errors import ResponsesFieldNames, Unsupported
from gateway.core.errors import InvalidRequest
from gateway.families.compiler import ACCOUNT

SEALED, LOGPROBS = "reasoning.encrypted_content", "message.output_text.logprobs"
INCLUDABLE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    SEALED,
    LOGPROBS,
)
CONTEXTS = ("auto", "current_turn", "all_turns")
SUMMARIES = ("auto", "concise", "detailed")
TIERS = ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")
MOST_LOGPROBS, MOST_PAIRS, LONGEST_KEY, LONGEST_VALUE, LONGEST_ID = 20, 16, 64, 512, 128

# Fields of this dialect; all others are forwarded to the backend, which may know them.
KNOWN = frozenset(
    (
        "background", "background_options", "access_programs", "context_management", "conversation", "image", "include",
        "input", "instructions", "max_output_tokens", "max_tool_calls", "metadata", "model", "moderation",
        "parallel_tool_calls", "previous_response_id", "prompt", "reasoning", "safety_identifier", "service_tier",
        "store", "stream", "stream_options", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p",
        "truncation", "user",
    )
)  # fmt: skip
_UNSUPPORTED = {
    "background": "is not supported: the gateway answers while the client waits.",
    "background_options": "is not supported: the gateway answers while the client waits.",
    "conversation": "is not supported: use previous_response_id.",
    "prompt": "is not supported: the gateway stores no prompts.",
    "context_management": "is not supported.",
    "moderation": "is not supported.",
    "access_programs": "is not supported.",
}
# Fields of chat completions that have another name in this dialect: refused as mistakes, not forwarded.
_RENAMED = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
    "logprobs": "include",
    "functions": "tools",
    "function_call": "tool_choice",
}


@dataclass(frozen=True, slots=True)
class Options:
    """`chat_fields` are for the body of the chat completion, `echo` for the response."""

    chat_fields: dict[str, Any]
    echo: dict[str, Any]
    store: bool
    include: frozenset[str]
    summary: str | None
    context: str
    format: dict[str, Any] | None
    logprobs: bool


def read_options(body: Fields) -> Options:
    """InvalidRequest: a field has the wrong type, is out of range, unknown or not supported."""
    _refuse(body)
    stream = bool(body.boolean("stream"))
    _check_stream_options(body, stream)
    body.word("truncation", ("auto", "disabled"))
    reasoning, include = body.table("reasoning"), read_include(body.array("include"))
    verbosity, echoed_format, chat_format = _read_text(body.table("text"))
    top_logprobs = body.integer("top_logprobs", 0, MOST_LOGPROBS) or 0
    logprobs = top_logprobs > 0 or LOGPROBS in include
    limit = body.integer("max_output_tokens", 1, checks.MOST_TOKENS)
    shared = _shared_fields(body)
    chat: dict[str, Any] = {name: value for name, value in body.given.items() if name not in KNOWN}
    chat |= {name: value for name, value in shared.items() if value is not None}
    chat |= {
        name: value
        for name, value in (
            ("stream", stream or None),
            ("max_completion_tokens", limit),
            ("verbosity", verbosity),
            ("logprobs", logprobs or None),
            ("top_logprobs", top_logprobs if logprobs else None),
            ("reasoning", reasoning.rest("effort", "summary", "generate_summary", "context", "mode") or None),
        )
        if value is not None
    }
    if (effort := reasoning.text("effort")) is not None:
        _set_effort(chat, effort)
    echo = {
        **shared,
        "instructions": body.text("instructions"),
        "max_output_tokens": limit,
        "max_tool_calls": body.integer("max_tool_calls", 1, checks.MOST_TOKENS),
        "metadata": _metadata(body),
        "text": {"format": echoed_format, **({} if verbosity is None else {"verbosity": verbosity})},
        "top_logprobs": top_logprobs,
        "parallel_tool_calls": body.boolean("parallel_tool_calls") is not False,
    }
    return Options(
        chat_fields=chat,
        echo=echo,
        store=body.boolean("store") is not False,
        include=include,
        summary=reasoning.word("summary", SUMMARIES) or reasoning.word("generate_summary", SUMMARIES),
        context=reasoning.word("context", CONTEXTS) or "auto",
        format=chat_format,
        logprobs=logprobs,
    )


def _shared_fields(body: Fields) -> dict[str, Any]:
    """The fields that have the same name in chat completions, and that responses repeat."""
    return {
        "temperature": body.number("temperature", 0, 2),
        "top_p": body.number("top_p", 0, 1),
        "user": body.text("user"),
        "safety_identifier": body.text("safety_identifier", LONGEST_ID),
        "prompt_cache_key": body.text("prompt_cache_key"),
        "service_tier": body.word("service_tier", TIERS),
    }


def read_format(form: Fields) -> dict[str, Any] | None:
    """Converts `text.format` to the `response_format` of chat completions; None for plain text."""
    kind = form.required_word("type", ("text", "json_object", "json_schema"))
    if kind != "json_schema":
        return None if kind == "text" else {"type": kind}
    if form.any("schema") is None:
        raise form.missing("schema")
    schema: dict[str, Any] = {"name": form.needed("name"), "schema": form.table("schema").given}
    if (description := form.text("description")) is not None:
        schema["description"] = description
    if (strict := form.boolean("strict")) is not None:
        schema["strict"] = strict
    return {"type": kind, "json_schema": schema}


def _set_effort(chat: dict[str, Any], effort: str) -> None:
    if chat.setdefault("reasoning_effort", effort) != effort:
        raise InvalidRequest(
            f"reasoning.effort {effort[:40]!r} contradicts reasoning_effort.", param="reasoning.effort"
        )


def _refuse(body: Fields) -> None:
    for name, why in _UNSUPPORTED.items():
        if body.any(name) not in (None, False, []):
            raise Unsupported(name, why)
    for name, instead in _RENAMED.items():
        if body.any(name) is not None:
            raise ResponsesFieldNames(name, instead)
    if body.any("n") not in (None, 1):
        raise Unsupported("n", "must be 1: a response has one answer.")
    if body.table("image").word("context_compression", ("auto", "enabled", "disabled")) == "enabled":
        raise Unsupported("image.context_compression", "cannot be enabled.")
    if body.table("reasoning").word("mode", ("standard", "pro")) == "pro":
        raise Unsupported("reasoning.mode", "pro is not supported.")


def _check_stream_options(body: Fields, stream: bool) -> None:
    body.table("stream_options").boolean("include_obfuscation")
    if body.any("stream_options") is not None and not stream:
        raise body.wrong("stream_options", "is only allowed when `stream` is true.")


def read_include(included: list[Any]) -> frozenset[str]:
    """The values of `include`. Those for hosted tools are accepted, but have no effect."""
    known = (*INCLUDABLE, ACCOUNT)
    for index, name in enumerate(included):
        param = f"include[{index}]"
        if not isinstance(name, str):
            raise checks.wrong_type(param, "a string", name)
        if name not in known:
            raise checks.wrong_value(param, f"must be one of {', '.join(known)}, not {name[:100]!r}.")
    return frozenset(included)


def _metadata(body: Fields) -> dict[str, str]:
    given = body.table("metadata").given
    if len(given) > MOST_PAIRS:
        raise body.wrong("metadata", f"may have at most {MOST_PAIRS} pairs, not {len(given)}.")
    metadata = Fields(given, "metadata")
    for name in given:
        if len(name) > LONGEST_KEY:
            raise body.wrong("metadata", f"has a key of more than {LONGEST_KEY} characters.")
        if metadata.text(name, LONGEST_VALUE) is None:
            raise checks.wrong_type(metadata.param(name), "a string", None)
    return given


def _read_text(text: Fields) -> tuple[str | None, dict[str, Any], dict[str, Any] | None]:
    """The verbosity, and the output format as the response repeats it and as chat completions have it."""
    for name in text.rest("format", "verbosity"):
        raise text.wrong(name[:100], "is unknown.", "unknown_parameter")
    verbosity = text.word("verbosity", ("low", "medium", "high"))
    if text.any("format") is None:
        return verbosity, {"type": "text"}, None
    form = text.table("format")
    return verbosity, form.given, read_format(form)

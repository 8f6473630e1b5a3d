"""Converts messages to prompt tokens, preparing them for the chat template as vLLM does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.embedded.errors import BadRequest, Invalid
from gateway.embedded.protocol import ChatRequest, Message, TokenizeRequest, Tool
from gateway.embedded.served import Served

TEXT_FIELDS = {"text": "text", "input_text": "text", "refusal": "refusal", "thinking": "thinking"}


def chat_prompt(served: Served, request: ChatRequest | TokenizeRequest, messages: Sequence[Message]) -> list[int]:
    """The tokens of a chat. Raises BadRequest, Invalid."""
    if not messages:
        raise BadRequest("Cannot apply chat template to an empty conversation. Provide at least one message.")
    if request.chat_template is not None:
        raise BadRequest(
            "Chat template is passed with request, but --trust-request-chat-template is not set. Refused request with "
            "untrusted chat template."
        )
    text = served.template.render(
        [_shown(served.name, index, message) for index, message in enumerate(messages)],
        _tools(request.tools),
        template_kwargs(request),
        request.add_generation_prompt,
        request.continue_final_message,
    )
    return text_prompt(served, text)


def text_prompt(served: Served, text: str) -> list[int]:
    """The tokens of a text; if it exceeds the context, the first context + 1 tokens. Raises BadRequest."""
    most = served.context + 1
    return tokens(served, text[: most * served.tokenizer.longest])[:most]


def tokens(served: Served, text: str) -> list[int]:
    """The tokens of a text. Raises BadRequest if it is not valid Unicode."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise BadRequest("The prompt is not valid Unicode: it has half a surrogate pair")
    return served.tokenizer.encode(text)


def template_kwargs(request: ChatRequest | TokenizeRequest) -> dict[str, Any]:
    """The template's arguments; the client's own take precedence over those of its reasoning effort."""
    given = request.chat_template_kwargs or {}
    effort = getattr(request, "reasoning_effort", None)
    if effort is None:
        return given
    return {"reasoning_effort": effort, "enable_thinking": effort != "none", **given}


def thinking_enabled(request: ChatRequest) -> bool:
    """Whether the output is expected to begin with reasoning."""
    return bool(template_kwargs(request).get("enable_thinking", True))


def _tools(tools: Sequence[Tool] | None) -> list[dict[str, Any]] | None:
    return [tool.shown() for tool in tools] if tools else None


def _shown(model: str, index: int, message: Message) -> dict[str, Any]:
    """A message as templates expect it: its text as one string, arguments of tool calls as objects."""
    fields = message.model_dump(exclude_unset=True)
    if message.role == "developer":
        fields["role"] = "system"
    if message.content is None and "content" in fields and message.role != "assistant":
        raise _wrong(index, "content", "string_type", "Input should be a valid string", None)
    fields["content"] = _text(model, index, message.content)
    reasoning = fields.get("reasoning") or fields.get("reasoning_content")
    if reasoning is not None:
        fields["reasoning"] = fields["reasoning_content"] = reasoning
    calls = fields.get("tool_calls")
    if calls:
        if not isinstance(calls, list):
            raise _wrong(index, "tool_calls", "list_type", "Input should be a valid list", calls)
        fields["tool_calls"] = [_call(index, call) for call in calls]
    return fields


def _text(model: str, index: int, content: str | list[dict[str, Any]] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(_part(model, index, part) for part in content)


def _part(model: str, index: int, part: Mapping[str, Any]) -> str:
    kind = part.get("type", "text")
    if kind in ("image_url", "input_audio", "video_url", "audio_url", "image_embeds", "file"):
        raise BadRequest(f"{model} is not a multimodal model")
    text = part.get(TEXT_FIELDS.get(kind, "")) if isinstance(kind, str) else None
    if not isinstance(text, str):
        raise _wrong(index, "content", "literal_error", "Input should be a part of type 'text'", dict(part))
    return text


def _call(index: int, call: Any) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise _wrong(index, "tool_calls", "missing", "A function with a name is required", call)
    return {**call, "function": {**function, "arguments": _arguments(function.get("arguments"))}}


def _arguments(arguments: Any) -> dict[str, Any]:
    """The arguments as an object; invalid ones become an empty object, as in vLLM."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            return {}
    return arguments if isinstance(arguments, dict) else {}


def _wrong(index: int, field: str, kind: str, message: str, value: Any) -> Invalid:
    return Invalid([{"type": kind, "loc": ("messages", index, field), "msg": message, "input": value}])

"""Renders the chat template of a model folder as Hugging Face does, with sandboxed Jinja."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gateway.embedded.errors import BadRequest
from gateway.embedded.model import ModelError

Message = Mapping[str, Any]
# Appended to a message that is to be continued; whatever the template writes after it is removed.
CONTINUE_HERE = "<<continue this message>> "


class ChatTemplate:
    def __init__(self, folder: Path) -> None:
        """Raises ModelError when the template cannot be compiled."""
        path = folder / "chat_template.jinja"
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = lambda pattern: datetime.now().strftime(pattern)
        try:
            self._template = environment.from_string(path.read_text("utf-8"))
        except (OSError, TemplateSyntaxError) as error:
            raise ModelError(f"{path}: {error}") from error

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None,
        extra: Mapping[str, Any],
        add_generation_prompt: bool,
        continue_final_message: bool,
    ) -> str:
        """The prompt's text. Raises BadRequest if the template refuses the messages."""
        if continue_final_message:
            messages = _marked(messages)
        try:
            text = self._template.render(
                **{**extra, "messages": messages, "tools": tools, "add_generation_prompt": add_generation_prompt}
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            raise BadRequest(f"The chat template refused the messages: {error}") from error
        return _cut(text) if continue_final_message else text


def _marked(messages: Sequence[Message]) -> list[Message]:
    *others, last = messages
    return [*others, {**last, "content": (last.get("content") or "") + CONTINUE_HERE}]


def _cut(text: str) -> str:
    """The text before the marker, whose trailing space is missing if the template strips messages."""
    before, mark, _ = text.rpartition(CONTINUE_HERE.rstrip())
    if not mark:
        raise BadRequest(
            "continue_final_message is set but the final message does not appear in the chat after applying the "
            "chat template!"
        )
    return before if text[len(before) :].startswith(CONTINUE_HERE) else before.rstrip()


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
    """JSON without the HTML escapes of Jinja's filter."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise(message: str) -> None:
    raise TemplateError(message)

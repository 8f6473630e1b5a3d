"""The chat format: one Jinja template per model in Qwen3's format, and the added tokens it uses.

`tiny` is controlled by `enable_thinking`, `tiny-instruct` never thinks, `tiny-thinking` always does (its prompt opens
the reasoning block).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Literal

from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

ModelName = Literal["tiny", "tiny-instruct", "tiny-thinking"]

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
# Added but not special, since reasoning and tool parsers must see them in the text.
VISIBLE_TOKENS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")

# The end of each model's template, after `chat_template.jinja`.
_HYBRID = """\
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""
_INSTRUCT = "{%- endif %}\n"
_THINKING = "    {{- '<think>\\n' }}\n{%- endif %}\n"


def chat_template(model: ModelName) -> str:
    """The Jinja source of a model's chat template."""
    body = (files("router_model.reasoner") / "chat_template.jinja").read_text("utf-8")
    return body + {"tiny": _HYBRID, "tiny-instruct": _INSTRUCT, "tiny-thinking": _THINKING}[model]


def compile_template(source: str) -> Template:
    """Compile with the `tojson` of inference servers: plain JSON without HTML escapes."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(source)


def render(
    template: Template, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None, **options: Any
) -> str:
    """The prompt text up to the beginning of the assistant's turn."""
    return template.render(messages=messages, tools=tools, add_generation_prompt=True, **options)

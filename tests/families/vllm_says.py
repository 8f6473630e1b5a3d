"""Run by vLLM's own interpreter: what vLLM's own code makes of the bodies that the gateway sends it.

Reads `{"families": {family: {name: {"messages", "body"}}}, "parsers": [name]}` on standard input, and writes what
became of each. It starts no server and loads no model: requests are validated as the server validates them, and prompts
are rendered by the encoders that vLLM has for families without a template.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from openai_harmony import Role
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.parser.harmony_utils import get_system_message
from vllm.exceptions import VLLMValidationError
from vllm.reasoning import ReasoningParserManager
from vllm.renderers import inkling, kimi_k3
from vllm.tokenizers.deepseek_v4 import get_deepseek_v4_tokenizer
from vllm.tokenizers.deepseek_v32 import get_deepseek_v32_tokenizer
from vllm.tokenizers.deepseek_v41 import get_deepseek_v41_tokenizer
from vllm.tokenizers.mistral import validate_request_params

Kwargs = dict[str, Any]


class Vocabulary(dict[str, int]):
    """Has every token."""

    def __missing__(self, token: str) -> int:
        self[token] = len(self)
        return self[token]

    def get(self, token: str, default: Any = None) -> int:
        return self[token]

    def __contains__(self, token: object) -> bool:
        return True


class Tokenizer:
    """As much of a tokenizer as encoders and parsers ask for."""

    chat_template = None

    def __init__(self) -> None:
        self.init_kwargs: Kwargs = {}
        self.vocabulary = Vocabulary()

    def get_vocab(self) -> Vocabulary:
        return self.vocabulary

    def get_added_vocab(self) -> dict[str, int]:
        return {}

    def encode(self, text: str, **_: Any) -> list[int]:
        return [self.vocabulary[text]]

    def convert_tokens_to_ids(self, token: str) -> int:
        return self.vocabulary[token]


def rendered(wrap: Callable[[Any], Any]) -> Callable[[ChatCompletionRequest, Kwargs], str]:
    """The prompt, by an encoder."""

    def render(request: ChatCompletionRequest, kwargs: Kwargs) -> str:
        tools = [tool.model_dump() for tool in request.tools or ()]
        kwargs["tokenize"] = False
        prompt: str = wrap(Tokenizer()).apply_chat_template(request.messages, tools=tools, **kwargs)
        return prompt

    return render


def inkling_effort(request: ChatCompletionRequest, kwargs: Kwargs) -> Any:
    return inkling._resolve_reasoning_effort(kwargs.get("reasoning_effort"))


def k3_kwargs(request: ChatCompletionRequest, kwargs: Kwargs) -> Any:
    kimi_k3._apply_k3_thinking_kwargs(kwargs)
    return {name: kwargs[name] for name in ("thinking", "thinking_effort") if name in kwargs}


def harmony(request: ChatCompletionRequest, kwargs: Kwargs) -> Any:
    message = get_system_message(reasoning_effort=request.reasoning_effort)
    assert message.author.role == Role.SYSTEM
    return message.content[0].reasoning_effort.value


def mistral(request: ChatCompletionRequest, kwargs: Kwargs) -> Any:
    validate_request_params(request)
    return request.reasoning_effort


# Families that vLLM renders by code of its own. For all others it says what their template is given.
BY_CODE: dict[str, Callable[[ChatCompletionRequest, Kwargs], Any]] = {
    "deepseek-v3.2": rendered(get_deepseek_v32_tokenizer),
    "deepseek-v4": rendered(get_deepseek_v4_tokenizer),
    "deepseek-v4.1": rendered(get_deepseek_v41_tokenizer),
    "gpt-oss": harmony,
    "inkling": inkling_effort,
    "kimi-k3": k3_kwargs,
    "mistral-small-4": mistral,
}


def what_becomes_of(family: str, messages: list[Kwargs], body: Kwargs) -> Kwargs:
    """The template's arguments, the budget, and what vLLM's own renderer makes of it; or its error."""
    try:
        request = ChatCompletionRequest.model_validate({"model": "m", "messages": messages, **body})
        kwargs = request.build_chat_params(None, "auto").chat_template_kwargs
        code = BY_CODE.get(family)
        said = {"kwargs": given(kwargs), "budget": request.thinking_token_budget}
        return said if code is None else {**said, "rendered": code(request, dict(kwargs))}
    except (ValueError, VLLMValidationError) as error:
        return {"error": str(error)}


def given(kwargs: Kwargs) -> Kwargs:
    """What a template sees of the effort."""
    plain = ("add_generation_prompt", "continue_final_message", "documents")
    return {name: value for name, value in kwargs.items() if name not in plain and value is not None}


def keeps_budgets(parser: str) -> bool:
    """Whether a server that was started with this reasoning parser keeps budgets: it needs both strings for it."""
    made = ReasoningParserManager.get_reasoning_parser(parser)(Tokenizer())
    return bool(made.reasoning_start_str and made.reasoning_end_str)


def main() -> None:
    asked = json.load(sys.stdin)
    said = {
        family: {name: what_becomes_of(family, one["messages"], one["body"]) for name, one in bodies.items()}
        for family, bodies in asked["families"].items()
    }
    budgets = {parser: keeps_budgets(parser) for parser in asked["parsers"]}
    json.dump({"families": said, "keeps_budgets": budgets}, sys.stdout)


if __name__ == "__main__":
    main()

"""Answers that must follow a grammar: a mask over the tokens for every step, from llguidance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer

from gateway.embedded.model import Array
from gateway.embedded.protocol import Tool

# One way to write a value, the one of json.dumps: where spaces are free, small models write nothing else.
JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
SILENT = 0


class Grammars:
    """Of one model's tokens. Grammars are texts, as the functions below make them."""

    def __init__(self, tokenizer: str, vocab_size: int, eos: Sequence[int]) -> None:
        """`tokenizer` is the content of a tokenizer.json."""
        self._content, self._vocab_size, self._eos = tokenizer, vocab_size, list(eos)

    def fault(self, grammar: str) -> str:
        """What is wrong with a grammar; empty when nothing is."""
        return LLMatcher.validate_grammar(grammar, self._tokens)

    def constraint(self, grammar: str, after: int | None) -> Constraint:
        """A grammar that holds from the start, or, with `after`, once that token was seen."""
        return Constraint(LLMatcher(self._tokens, grammar, log_level=SILENT), after)

    @cached_property
    def _tokens(self) -> LLTokenizer:
        """Made when the first grammar comes: most engines never see one."""
        return LLTokenizer(self._content, n_vocab=self._vocab_size, eos_token=self._eos)


class Constraint:
    """Follows one answer."""

    def __init__(self, matcher: LLMatcher, after: int | None) -> None:
        self._matcher, self._after = matcher, after

    def apply(self, logits: Array) -> Array | None:
        """`logits` (vocab,) with what is not allowed at minus infinity; None when nothing is allowed."""
        if self._after is not None:
            return logits
        allowed = np.frombuffer(self._matcher.compute_logit_bias(), np.uint8) > 0
        return np.where(allowed, logits, np.float32(-np.inf)) if allowed.any() else None

    def saw(self, token: int) -> None:
        if self._after is None:
            self._matcher.consume_token(token)
        elif token == self._after:
            self._after = None


def json_grammar(schema: Mapping[str, Any]) -> str:
    """Raises ValueError for what is no JSON schema at all."""
    return LLMatcher.grammar_from_json_schema({**schema, "x-guidance": JSON_STYLE})


def regex_grammar(pattern: str) -> str:
    return LLMatcher.grammar_from_regex(pattern)


def choice_grammar(choices: Sequence[str]) -> str:
    return LLMatcher.grammar_from_lark(f"start: {' | '.join(map(json.dumps, choices))}")


def call_grammar(tools: Sequence[Tool], single: bool, answer: Mapping[str, Any] | None = None) -> str:
    """Calls of `tools` in the form of Hermes, one if `single`; or else, where given, JSON by the schema `answer`."""
    calls = {"anyOf": [_call_schema(tool) for tool in tools], "x-guidance": JSON_STYLE}
    start = "call" if single else r'call ("\n" call)*'
    rules = [
        f"start: {start}" + (" | answer" if answer is not None else ""),
        r'call: <tool_call> "\n" body "\n" </tool_call>',
        f"body: %json {json.dumps(calls)}",
    ]
    if answer is not None:
        rules.append(f"answer: %json {json.dumps({**answer, 'x-guidance': JSON_STYLE})}")
    return LLMatcher.grammar_from_lark("\n".join(rules))


def _call_schema(tool: Tool) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"const": tool.function.name},
            "arguments": tool.function.parameters or {"type": "object"},
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }

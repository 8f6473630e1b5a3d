"""Constrains answers to a grammar, with a mask over the vocabulary for every step from llguidance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer

from gateway.embedded.model import Array
from gateway.embedded.protocol import Tool

# Whitespace as json.dumps writes it: where it is free, small models may write nothing but whitespace.
JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
SILENT = 0


class Grammars:
    """Compiles grammars for one model's vocabulary. Grammars are strings made by the functions below."""

    def __init__(self, tokenizer: str, vocab_size: int, eos: Sequence[int]) -> None:
        """`tokenizer` is the content of a tokenizer.json."""
        self._content, self._vocab_size, self._eos = tokenizer, vocab_size, list(eos)

    def fault(self, grammar: str) -> str:
        """Why a grammar is invalid; empty if it is valid."""
        return LLMatcher.validate_grammar(grammar, self._tokens)

    def constraint(self, grammar: str, after: int | None) -> Constraint:
        """A constraint that applies from the start or, with `after`, once that token was seen."""
        return Constraint(LLMatcher(self._tokens, grammar, log_level=SILENT), after)

    @cached_property
    def _tokens(self) -> LLTokenizer:
        """Built on first use, as most engines never get a grammar."""
        return LLTokenizer(self._content, n_vocab=self._vocab_size, eos_token=self._eos)


class Constraint:
    """The grammar's state for one answer."""

    def __init__(self, matcher: LLMatcher, after: int | None) -> None:
        self._matcher, self._after = matcher, after

    def apply(self, logits: Array) -> Array | None:
        """`logits` (vocab,) with disallowed tokens at minus infinity; None if no token is allowed."""
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
    """Raises ValueError if the schema is malformed."""
    return LLMatcher.grammar_from_json_schema({**schema, "x-guidance": JSON_STYLE})


def regex_grammar(pattern: str) -> str:
    return LLMatcher.grammar_from_regex(pattern)


def choice_grammar(choices: Sequence[str]) -> str:
    return LLMatcher.grammar_from_lark(f"start: {' | '.join(map(json.dumps, choices))}")


def call_grammar(tools: Sequence[Tool], single: bool, answer: Mapping[str, Any] | None = None) -> str:
    """Tool calls in Hermes format, one if `single`; with `answer`, JSON by that schema is allowed instead."""
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

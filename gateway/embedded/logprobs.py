"""Formats log-probabilities for chat completions and for completions."""

from __future__ import annotations

from typing import Any

from gateway.embedded.answer import EngineOutput
from gateway.embedded.tokenizer import Tokenizer

Json = dict[str, Any]
LOWEST = -9999.0


def chat_logprobs(output: EngineOutput, tokenizer: Tokenizer, top: int, as_ids: bool) -> Json:
    """The log-probabilities of every token in `output`, and of the `top` most likely ones."""
    content = []
    for step in output.logprobs:
        entries = [
            _entry(tokenizer, number, value, as_ids) for number, value in zip(step.ids, step.values, strict=True)
        ]
        content.append({**entries[0], "top_logprobs": entries[:top]})
    return {"content": content}


def completion_logprobs(output: EngineOutput, tokenizer: Tokenizer, offset: int, as_ids: bool) -> Json:
    """The log-probabilities of every token in `output`, whose text begins at character `offset` of the answer."""
    tokens, values, tops, offsets = [], [], [], []
    for step in output.logprobs:
        names = [_name(tokenizer, number, as_ids) for number in step.ids]
        pairs = [max(value, LOWEST) for value in step.values]
        tokens.append(names[0])
        values.append(pairs[0])
        tops.append(dict(zip(reversed(names), reversed(pairs), strict=True)))
        offsets.append(offset)
        offset += len(names[0])
    ordered = [dict(reversed(top.items())) for top in tops]
    return {"text_offset": offsets, "token_logprobs": values, "tokens": tokens, "top_logprobs": ordered}


def _entry(tokenizer: Tokenizer, number: int, value: float, as_ids: bool) -> Json:
    name = _name(tokenizer, number, as_ids)
    return {"token": name, "logprob": max(value, LOWEST), "bytes": list(name.encode())}


def _name(tokenizer: Tokenizer, number: int, as_ids: bool) -> str:
    return f"token_id:{number}" if as_ids else tokenizer.text_of(number)

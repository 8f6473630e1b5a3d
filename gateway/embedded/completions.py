"""/v1/completions: continues a text or token ids, plain or as a stream."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from secrets import token_hex
from typing import Any

from gateway.embedded import FINGERPRINT
from gateway.embedded.answer import EngineOutput
from gateway.embedded.checks import check_completion, sampling_params
from gateway.embedded.engine import Engine, EngineGeneration
from gateway.embedded.errors import BadRequest
from gateway.embedded.logprobs import completion_logprobs
from gateway.embedded.prompts import text_prompt
from gateway.embedded.protocol import CompletionRequest, parse
from gateway.embedded.served import Served
from gateway.embedded.usage import streamed_usage, usage

Json = dict[str, Any]


class Completion:
    """An accepted completion, whose answers are already queued."""

    def __init__(self, engine: Engine, body: Json, request_id: str | None) -> None:
        """Raises RequestError if `body` is invalid."""
        check_completion(body)
        self._request = request = parse(CompletionRequest, body)
        self._served = engine.model(request.model)
        self._prompts = _prompts(self._served, request)
        longest = max(map(len, self._prompts))
        params = sampling_params(request, self._served, longest, ("max_tokens", request.max_tokens))
        self._n = 1 if request.n is None else request.n
        self._head: Json = {
            "id": f"cmpl-{request_id or request.request_id or token_hex(8)}",
            "object": "text_completion",
        }
        self._head |= {"created": int(time.time()), "model": self._served.name}
        self.streamed = bool(request.stream)
        self.generation: EngineGeneration = engine.generate(self._served, self._prompts, params, self._n, self.streamed)

    async def plain(self) -> Json:
        outputs: dict[int, EngineOutput] = {}
        async for index, output in self.generation.pieces():
            outputs[index] = output
        completion = sum(len(output.ids) for output in outputs.values())
        return {
            **self._head,
            "choices": [self._choice(index, outputs[index]) for index in sorted(outputs)],
            "service_tier": None,
            "system_fingerprint": FINGERPRINT,
            "usage": usage(sum(map(len, self._prompts)), completion, None),
            "kv_transfer_params": None,
            "ec_transfer_params": None,
            "metrics": None,
        }

    async def chunks(self) -> AsyncIterator[Json]:
        """Every chunk of the stream, without [DONE]."""
        count = len(self._prompts) * self._n
        spent, written = [0] * count, [0] * count
        options = self._request.stream_options
        wants_usage = bool(options and options.include_usage)
        async for index, output in self.generation.pieces():
            first = spent[index] == 0
            spent[index] += len(output.ids)
            chunk: Json = {**self._head, "choices": [self._delta(index, output, first, written[index])]}
            written[index] += len(output.text)
            if wants_usage and options and options.continuous_usage_stats:
                chunk["usage"] = streamed_usage(len(self._prompts[index // self._n]), spent[index], None)
            if output.finish and not wants_usage:
                chunk["system_fingerprint"] = FINGERPRINT
            yield chunk
        if wants_usage:
            total = streamed_usage(sum(map(len, self._prompts)), sum(spent), None)
            yield self._head | {"choices": [], "usage": total, "system_fingerprint": FINGERPRINT}

    def _choice(self, index: int, output: EngineOutput) -> Json:
        shows_ids = self._request.return_token_ids
        return {
            "index": index,
            "text": self._echo(index) + output.text,
            "logprobs": self._logprobs(output, 0),
            "finish_reason": output.finish,
            "stop_reason": output.stop_reason,
            "token_ids": list(output.ids) if shows_ids else None,
            "prompt_logprobs": None,
            "prompt_token_ids": self._prompts[index // self._n] if shows_ids else None,
            "routed_experts": None,
        }

    def _delta(self, index: int, output: EngineOutput, first: bool, offset: int) -> Json:
        shows_ids = self._request.return_token_ids
        return {
            "index": index,
            "text": (self._echo(index) if first else "") + output.text,
            "logprobs": self._logprobs(output, offset),
            "finish_reason": output.finish,
            "stop_reason": output.stop_reason,
            "prompt_token_ids": self._prompts[index // self._n] if shows_ids and first else None,
            "token_ids": list(output.ids) if shows_ids else None,
        }

    def _echo(self, index: int) -> str:
        if not self._request.echo:
            return ""
        tokenizer = self._served.tokenizer
        return tokenizer.decode(self._prompts[index // self._n], skip=tokenizer.special_ids)

    def _logprobs(self, output: EngineOutput, offset: int) -> Json | None:
        if self._request.logprobs is None:
            return None
        as_ids = bool(self._request.return_tokens_as_token_ids)
        return completion_logprobs(output, self._served.tokenizer, offset, as_ids)


def _prompts(served: Served, request: CompletionRequest) -> list[list[int]]:
    """The token ids of every prompt. Raises BadRequest if a prompt is empty, or has an unknown id."""
    given = request.prompt
    if isinstance(given, str):
        return [text_prompt(served, given)]
    prompts = [text_prompt(served, one) for one in given if isinstance(one, str)]
    prompts += [one for one in given if isinstance(one, list)]
    ids = [one for one in given if isinstance(one, int)]
    prompts += [ids] if ids else []
    for number in (number for prompt in prompts for number in prompt):
        if number >= served.config.vocab_size:
            raise BadRequest(f"Token id {number} is out of vocabulary")
    if not all(prompts):
        raise BadRequest("The decoder prompt cannot be empty")
    return prompts

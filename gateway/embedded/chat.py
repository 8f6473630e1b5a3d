"""/v1/chat/completions: one request, plain or as a stream."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from secrets import token_hex
from typing import Any

from gateway.embedded import FINGERPRINT
from gateway.embedded.answer import EngineOutput
from gateway.embedded.checks import check_chat, sampling_params
from gateway.embedded.choice import Choice
from gateway.embedded.engine import Engine, EngineGeneration
from gateway.embedded.logprobs import chat_logprobs
from gateway.embedded.prompts import chat_prompt
from gateway.embedded.protocol import ChatRequest, NamedTool, parse
from gateway.embedded.usage import streamed_usage, usage

Json = dict[str, Any]


class ChatPrompt:
    """An accepted chat completion, whose answers are already queued."""

    def __init__(self, engine: Engine, body: Json, request_id: str | None) -> None:
        """Raises RequestError if `body` is invalid."""
        check_chat(body)
        self._request = request = parse(ChatRequest, body)
        self._served = engine.model(request.model)
        self._prompt = chat_prompt(self._served, request, request.messages)
        limit = _limit(request)
        params = sampling_params(request, self._served, len(self._prompt), limit)
        self._n = 1 if request.n is None else request.n
        self._head = {"id": f"chatcmpl-{request_id or request.request_id or token_hex(8)}"}
        self._created = int(time.time())
        self.streamed = bool(request.stream)
        self.generation: EngineGeneration = engine.generate(
            self._served, [self._prompt], params, self._n, self.streamed
        )

    async def plain(self) -> Json:
        choices = [Choice(self._request, self._served, None) for _ in range(self._n)]
        outputs: dict[int, EngineOutput] = {}
        async for index, output in self.generation.pieces():
            outputs[index] = output
        shown = [self._choice(index, choices[index], outputs[index]) for index in range(self._n)]
        completion = sum(len(output.ids) for output in outputs.values())
        return {
            **self._head,
            "object": "chat.completion",
            "created": self._created,
            "model": self._served.name,
            "choices": shown,
            "service_tier": None,
            "system_fingerprint": FINGERPRINT,
            "usage": usage(len(self._prompt), completion, self._reasoning(choices)),
            "prompt_logprobs": None,
            "prompt_token_ids": self._prompt if self._request.return_token_ids else None,
            "prompt_text": None,
            "kv_transfer_params": None,
            "ec_transfer_params": None,
            "metrics": None,
        }

    async def chunks(self) -> AsyncIterator[Json]:
        """Every chunk of the stream, without [DONE]."""
        choices = [Choice(self._request, self._served, self._prompt) for _ in range(self._n)]
        role = self._role()
        for index in range(self._n):
            first = {"index": index, "delta": {"role": role, "content": ""}, "logprobs": None, "finish_reason": None}
            ids = self._prompt if self._request.return_token_ids else None
            yield self._chunk([first], 0, choices[index], {"prompt_token_ids": ids, "prompt_text": None})
        spent = [0] * self._n
        async for index, output in self.generation.pieces():
            spent[index] += len(output.ids)
            shown = self._delta(index, choices[index], output)
            if shown is not None:
                last = output.finish and not self._wants_usage()
                extra = {"system_fingerprint": FINGERPRINT} if last else {}
                yield self._chunk([shown], spent[index], choices[index], extra)
        if self._wants_usage():
            total = streamed_usage(len(self._prompt), sum(spent), self._reasoning(choices))
            yield self._chunk([], 0, None, {"usage": total, "system_fingerprint": FINGERPRINT})

    def _choice(self, index: int, choice: Choice, output: EngineOutput) -> Json:
        message, calls = choice.message(output)
        hidden = self._hidden()
        return {
            "index": index,
            "message": {"role": self._role(), **message},
            "logprobs": None if hidden else self._logprobs(output),
            "finish_reason": self._finish(output, calls),
            "stop_reason": output.stop_reason,
            "token_ids": list(output.ids) if self._request.return_token_ids and not hidden else None,
            "routed_experts": None,
        }

    def _finish(self, output: EngineOutput, called: bool) -> str | None:
        """`tool_calls` if the model chose to call a tool, or which one; as in vLLM, not if the request named it."""
        named = isinstance(self._request.tool_choice, NamedTool)
        return "tool_calls" if called and not named else output.finish

    def _delta(self, index: int, choice: Choice, output: EngineOutput) -> Json | None:
        """One choice of a chunk; None if there is nothing to send."""
        delta, hidden = choice.delta(output), self._hidden()
        logprobs = None if hidden else self._logprobs(output)
        shows_ids = bool(self._request.return_token_ids) and not hidden
        if not (delta or output.finish or logprobs or shows_ids):
            return None
        shown: Json = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}
        if output.finish:
            shown["finish_reason"] = self._finish(output, choice.called and output.finish == "stop")
            shown["stop_reason"] = output.stop_reason
        shown["token_ids"] = list(output.ids) if shows_ids else None
        return shown

    def _chunk(self, choices: list[Json], spent: int, choice: Choice | None, extra: Json) -> Json:
        chunk = {
            **self._head,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._served.name,
            "choices": choices,
        }
        options = self._request.stream_options
        if choice and options and options.include_usage and options.continuous_usage_stats:
            chunk["usage"] = streamed_usage(len(self._prompt), spent, self._reasoning([choice]))
        return chunk | extra

    def _logprobs(self, output: EngineOutput) -> Json | None:
        if not self._request.logprobs:
            return None
        as_ids = bool(self._request.return_tokens_as_token_ids)
        return chat_logprobs(output, self._served.tokenizer, self._request.top_logprobs or 0, as_ids)

    def _hidden(self) -> bool:
        """Whether tokens must not be shown, as they would reveal hidden reasoning."""
        return not self._request.include_reasoning

    def _wants_usage(self) -> bool:
        return bool(self._request.stream_options and self._request.stream_options.include_usage)

    def _reasoning(self, choices: Sequence[Choice]) -> int | None:
        return sum(choice.reasoning_tokens for choice in choices) if self._served.reasons else None

    def _role(self) -> str:
        return "assistant" if self._request.add_generation_prompt else self._request.messages[-1].role


def _limit(request: ChatRequest) -> tuple[str, int | None]:
    if request.max_completion_tokens is not None:
        return "max_completion_tokens", request.max_completion_tokens
    return "max_tokens", request.max_tokens

"""Completions of raw prompts, and embeddings: forwarded unchanged, since there is no effort to decide.

A raw prompt cannot control thinking, and an embedding involves none. They go to the model's deployment without
thinking, if it has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.api import asgi, checks, known_fields
from gateway.api.chat.encoder import ChatEncoder
from gateway.api.chat.request import is_batch, unit_of
from gateway.api.dialect import ParsedRequest
from gateway.api.fields import Fields
from gateway.api.units import user_of
from gateway.core.aliases import Headers
from gateway.core.call import Call, PassthroughRoute
from gateway.core.errors import GatewayError, InvalidRequest
from gateway.execution.report import AnswerView
from gateway.execution.request_facts import RequestFacts
from gateway.execution.streaming.encoder import ResponseEncoder
from gateway.routing.catalogue import Catalogue

COMPLETION = PassthroughRoute("/completions", "prompt", "choices")
EMBEDDING = PassthroughRoute("/embeddings", "input", "data")
# The engines' default limit for raw completions, in tokens.
DEFAULT_LIMIT = 16
# Fields of chats are refused here: some backends would ignore them silently, others would not.
CHAT_ONLY = ("reasoning_effort", "reasoning", "thinking", "thinkgate", "max_completion_tokens")


def read_completion(parsed: ParsedRequest) -> Call:
    """InvalidRequest: a field that the gateway reads is invalid. The backend validates the others."""
    body = parsed.body
    _check_fields(body, known_fields.COMPLETION_FIELDS)
    prompts = 1 if body.get("prompt_embeds") is not None and "prompt" not in body else checks.prompts(body, "prompt")
    fields = Fields(body)
    options = fields.table("stream_options")
    limit = fields.integer("max_tokens", 0, checks.MOST_TOKENS)
    answers = [fields.integer(name, 1, checks.MOST_CHOICES) or 1 for name in ("n", "best_of")]
    return _call(
        parsed,
        dialect="completions",
        passthrough=COMPLETION,
        stream=bool(fields.boolean("stream")),
        wants_usage=bool(options.boolean("include_usage")),
        choices=prompts * max(answers),
        limit=limit if "max_tokens" in body else DEFAULT_LIMIT,
    )


def read_embedding(parsed: ParsedRequest) -> Call:
    """Like `read_completion`. Engines accept `messages` instead of `input`, too."""
    body = parsed.body
    _check_fields(body, known_fields.EMBEDDING_FIELDS)
    if body.get("messages") is not None and "input" not in body:
        Fields(body).rows("messages")
    else:
        checks.prompts(body, "input")
    return _call(parsed, dialect="embeddings", passthrough=EMBEDDING, limit=0)


def _call(parsed: ParsedRequest, **fields: Any) -> Call:
    body = parsed.body
    return Call(
        request_id=parsed.request_id,
        model=Fields(body).needed("model"),
        body=body,
        size=parsed.size,
        unit=unit_of(body, parsed.headers) or parsed.request_id,
        user=user_of(body),
        client_retries=asgi.client_retries(parsed.headers),
        batch=is_batch(body.get("service_tier"), parsed.headers),
        key=parsed.principal.key,
        forwarded=asgi.forwarded(parsed.headers, parsed.backend_id),
        **fields,
    )


READERS: Mapping[str, Callable[[ParsedRequest], Call]] = {"completions": read_completion, "embeddings": read_embedding}


class Passthrough:
    def __init__(self, name: str, catalogue: Catalogue) -> None:
        """`name` is one of READERS."""
        self.name = name
        self._read = READERS[name]
        self._catalogue = catalogue

    async def read(self, parsed: ParsedRequest) -> Call:
        self._catalogue.find(Fields(parsed.body).needed("model"))
        return await parsed.off_loop.run(parsed.size, lambda: self._read(parsed))

    def encoder(self, facts: RequestFacts, call: Call, view: AnswerView) -> ResponseEncoder:
        return ChatEncoder(call.model, not call.wants_usage)

    def error(self, error: GatewayError, request_id: str) -> bytes:
        return error.body()

    def headers(self, headers: Headers) -> Headers:
        return headers


def _check_fields(body: Mapping[str, object], kinds: known_fields.Kinds) -> None:
    known_fields.check(body, kinds)
    for name in CHAT_ONLY:
        if body.get(name) is not None:
            message = f"{name} only applies to chats: this route sends the prompt to the backend unchanged."
            raise InvalidRequest(message, param=name, code="unknown_parameter")

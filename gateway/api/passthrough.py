"""Completions of raw prompts, and embeddings: they go on as they came, for there is no effort to decide about.

A raw prompt has no place to say how hard to think, and a vector takes no thought. Which of a model's deployments they
go to is the one that need not think.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
# Without a limit, engines make a raw completion so long.
USUAL_LIMIT = 16
# Fields of a chat: most backends would ignore them, and the client would not know; some would not.
OF_A_CHAT = ("reasoning_effort", "reasoning", "thinking", "thinkgate", "max_completion_tokens")


def read_completion(parsed: ParsedRequest) -> Call:
    """InvalidRequest: a field that the gateway reads is wrong. The rest is the backend's to judge."""
    body = parsed.body
    _check_fields(body, known_fields.OF_COMPLETIONS)
    prompts = 1 if body.get("prompt_embeds") is not None and "prompt" not in body else checks.prompts(body, "prompt")
    fields = Fields(body)
    options = fields.table("stream_options")
    limit = fields.integer("max_tokens", 0, checks.MOST_TOKENS)
    answers = [fields.integer(name, 1, checks.MOST_CHOICES) or 1 for name in ("n", "best_of")]
    return Call(
        request_id=parsed.request_id,
        dialect="completions",
        model=fields.needed("model"),
        body=body,
        stream=bool(fields.boolean("stream")),
        wants_usage=bool(options.boolean("include_usage")),
        choices=prompts * max(answers),
        limit=limit if "max_tokens" in body else USUAL_LIMIT,
        size=parsed.size,
        unit=unit_of(body, parsed.headers) or parsed.request_id,
        user=user_of(body),
        client_retries=asgi.client_retries(parsed.headers),
        batch=is_batch(body.get("service_tier"), parsed.headers),
        passthrough=COMPLETION,
        key=parsed.principal.key,
        forwarded=asgi.forwarded(parsed.headers, parsed.backend_id),
    )


def read_embedding(parsed: ParsedRequest) -> Call:
    """The same; engines also take `messages` instead of an input."""
    body = parsed.body
    _check_fields(body, known_fields.OF_EMBEDDINGS)
    if body.get("messages") is not None and "input" not in body:
        Fields(body).rows("messages")
    else:
        checks.prompts(body, "input")
    return Call(
        request_id=parsed.request_id,
        dialect="embeddings",
        model=Fields(body).needed("model"),
        body=body,
        limit=0,
        size=parsed.size,
        unit=unit_of(body, parsed.headers) or parsed.request_id,
        user=user_of(body),
        client_retries=asgi.client_retries(parsed.headers),
        batch=is_batch(body.get("service_tier"), parsed.headers),
        passthrough=EMBEDDING,
        key=parsed.principal.key,
        forwarded=asgi.forwarded(parsed.headers, parsed.backend_id),
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
    for name in OF_A_CHAT:
        if body.get(name) is not None:
            said = f"{name} only applies to chats: this route sends the prompt to the backend unchanged."
            raise InvalidRequest(said, param=name, code="unknown_parameter")

"""The Chat Completions dialect. Backends use it, too, so most fields are forwarded unchanged."""

from __future__ import annotations

from typing import Any

from gateway.api import asgi, checks, known_fields
from gateway.api.chat.effort_fields import read_dial, read_effort, wants_effort_report
from gateway.api.chat.encoder import ChatEncoder
from gateway.api.dialect import ParsedRequest
from gateway.api.fields import Fields
from gateway.api.references import read_references
from gateway.api.units import beginning_of, conversation_of, session_of, user_of
from gateway.core.aliases import Headers
from gateway.core.call import LIMIT_FIELDS, Call
from gateway.core.errors import GatewayError
from gateway.execution.report import AnswerView
from gateway.execution.request_facts import RequestFacts
from gateway.execution.streaming.encoder import ResponseEncoder
from gateway.routing.catalogue import Catalogue


class ChatDialect:
    name = "chat"

    def __init__(self, catalogue: Catalogue, max_messages: int) -> None:
        self._catalogue = catalogue
        self._max_messages = max_messages

    async def read(self, parsed: ParsedRequest) -> Call:
        return await parsed.off_loop.run(parsed.size, lambda: read_call(parsed, self._catalogue, self._max_messages))

    def encoder(self, facts: RequestFacts, call: Call, view: AnswerView) -> ResponseEncoder:
        return ChatEncoder(call.model, not call.wants_usage, view.effort_report if call.wants_effort_report else None)

    def error(self, error: GatewayError, request_id: str) -> bytes:
        return error.body()

    def headers(self, headers: Headers) -> Headers:
        return headers


def read_call(parsed: ParsedRequest, catalogue: Catalogue, max_messages: int) -> Call:
    """The validated call. Of fields that the gateway does not use, it checks only the type."""
    body, headers = parsed.body, parsed.headers
    fields = Fields(body)
    model = catalogue.find(fields.needed("model"))
    checks.messages(body, max_messages)
    fields.rows("tools")
    known_fields.check(body, known_fields.CHAT_FIELDS)
    stream = bool(fields.boolean("stream"))
    options = None if body.get("stream_options") is None else fields.table("stream_options")
    effort = read_effort(body, model.levels)
    limits = [fields.integer(name, 1, checks.MOST_TOKENS) for name in LIMIT_FIELDS]
    return Call(
        request_id=parsed.request_id,
        dialect="chat",
        model=model.name,
        body=body,
        stream=stream,
        wants_usage=options is not None and bool(options.boolean("include_usage")),
        requested=effort.requested,
        effort_word=effort.word,
        effort_param=effort.param,
        ceiling=effort.ceiling,
        dial=read_dial(body, model.name, model.policy.has_dial),
        choices=fields.integer("n", 1, checks.MOST_CHOICES) or 1,
        limit=min((limit for limit in limits if limit is not None), default=None),
        size=parsed.size,
        unit=unit_of(body, headers) or beginning_of(body["messages"]) or parsed.request_id,
        user=user_of(body),
        session=session_of(body, headers) or "",
        **read_references(body)._asdict(),
        stores=fields.boolean("store"),
        client_retries=asgi.client_retries(headers),
        batch=is_batch(body.get("service_tier"), headers),
        wants_effort_report=wants_effort_report(body, headers),
        key=parsed.principal.key,
        forwarded=asgi.forwarded(headers, parsed.backend_id),
    )


def is_batch(service_tier: Any, headers: Headers) -> bool:
    """Whether the client can wait: by the gateway's own header, else by OpenAI's `flex` tier."""
    priority = headers.get("x-thinkgate-priority")
    if priority is None:
        return bool(service_tier == "flex")
    if priority not in ("interactive", "batch"):
        raise checks.wrong_value("x-thinkgate-priority", "must be interactive or batch.")
    return priority == "batch"


def unit_of(body: dict[str, Any], headers: Headers) -> str | None:
    """What an experiment assigns: the conversation or session that the client names, else the user."""
    return conversation_of(body) or session_of(body, headers) or user_of(body) or None

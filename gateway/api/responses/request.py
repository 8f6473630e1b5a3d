"""Reads a request into a call: the body of a chat completion, and what the response needs."""

from __future__ import annotations

import time
from typing import Any

import orjson

from gateway.api import asgi
from gateway.api.chat.effort_fields import read_dial, read_effort, wants_effort_report
from gateway.api.chat.request import is_batch, unit_of
from gateway.api.dialect import ParsedRequest
from gateway.api.dropped_thoughts import DroppedThoughts
from gateway.api.fields import Fields
from gateway.api.json_object import LARGE
from gateway.api.references import read_references
from gateway.api.responses.call import ResponsesCall, ResponseSpec
from gateway.api.responses.conversation import messages_of, without_old_reasoning
from gateway.api.responses.errors import UnknownPrevious
from gateway.api.responses.ids import new_response_id
from gateway.api.responses.input_items import read_items, references, referred_bytes
from gateway.api.responses.options import SEALED, Options, read_format, read_options
from gateway.api.responses.store import ResponseStore
from gateway.api.responses.tools import ResponseTools, read_tools
from gateway.api.responses.turn import Item, Turn
from gateway.api.units import beginning_of, conversation_of, session_of, user_of
from gateway.auth.seal import Seal
from gateway.core import large_json
from gateway.routing.catalogue import Catalogue, PublicModel

# From this number of stored items on, reading takes long even for a small request.
MANY_ITEMS = 100


async def read_call(
    parsed: ParsedRequest, catalogue: Catalogue, store: ResponseStore, seal: Seal, max_items: int
) -> ResponsesCall:
    """The validated call. InvalidRequest: the client must correct it."""
    body = Fields(parsed.body)
    model = catalogue.find(body.needed("model"))
    options, tools = await parsed.off_loop.run(parsed.size, lambda: (read_options(body), read_tools(body)))
    id, key = new_response_id(), parsed.principal.key
    before = await _before(body, store, key)
    earlier = [item for turn in before for item in turn.items]
    referred = [item for turn in await store.several(references(body.any("input")), key) for item in turn.items]
    known = {item["id"]: item for item in (*referred, *earlier)}

    def read() -> ResponsesCall:
        given = body.any("input")
        more = _size(earlier, sum(turn.bytes for turn in before)) if earlier else 0
        if known and isinstance(given, list):
            more += referred_bytes(given, known)
            store.check_length(more, "input")
        dropped = DroppedThoughts()
        bound = seal.bound(key, model.name)
        items = read_items(body, id, bound, earlier, known, max_items, model.levels, dropped)
        chat = _chat_body(body, model, options, tools, earlier + items)
        unit = _unit(parsed, chat, before) or id
        spec = _response_spec(body, options, tools, chat, items, before, id, unit)
        return _call(parsed, model, chat, spec, parsed.size + more, dropped.note())

    return await parsed.off_loop.run(parsed.size if len(known) < MANY_ITEMS else LARGE, read)


def _size(items: list[Item], about: int) -> int:
    """The size of the items as JSON, in bytes; `about` is an upper estimate of it."""
    return len(orjson.dumps(items)) if about < LARGE else large_json.size(items)


async def _before(body: Fields, store: ResponseStore, key: str | None) -> list[Turn]:
    """The turns of the conversation that the request continues."""
    previous = body.text("previous_response_id")
    if previous is None:
        return []
    turns = await store.history(previous, key)
    if turns is None:
        raise UnknownPrevious(previous)
    return turns


def _unit(parsed: ParsedRequest, chat: dict[str, Any], before: list[Turn]) -> str | None:
    """What an experiment assigns: what the client names, else the unit of the responses that the request goes on from.

    A response that an earlier release has stored has no unit: the first one of the conversation was it.
    """
    if before:
        return conversation_of(parsed.body) or before[-1].unit or before[0].root
    return unit_of(parsed.body, parsed.headers) or beginning_of(chat["messages"])


def _chat_body(
    body: Fields, model: PublicModel, options: Options, tools: ResponseTools, items: list[Item]
) -> dict[str, Any]:
    messages = messages_of(items, options.echo["instructions"])
    if options.context == "current_turn":
        messages = without_old_reasoning(messages)
    chat = {**options.chat_fields, "model": model.name, "messages": messages}
    form = options.format
    for item in items:
        if item["type"] == "configuration_update":
            if "reasoning" in item:
                chat["reasoning_effort"] = item["reasoning"]["effort"]
            if "text" in item:
                form = read_format(Fields(item["text"]["format"]))
    if form is not None:
        chat["response_format"] = form
    if tools.chat_tools:
        chat["tools"] = tools.chat_tools
        if tools.choice is not None:
            chat["tool_choice"] = tools.choice
        if body.any("parallel_tool_calls") is not None:
            chat["parallel_tool_calls"] = options.echo["parallel_tool_calls"]
    return chat


def _response_spec(
    body: Fields,
    options: Options,
    tools: ResponseTools,
    chat: dict[str, Any],
    items: list[Item],
    before: list[Turn],
    id: str,
    unit: str,
) -> ResponseSpec:
    previous = before[-1].id if before else None
    echo = {
        **options.echo,
        "previous_response_id": previous,
        "tool_choice": body.any("tool_choice") or "auto",
        "tools": body.array("tools"),
    }
    return ResponseSpec(
        id=id,
        created=int(time.time()),
        items=items,
        previous=previous,
        root=before[0].root if before else id,
        unit=unit,
        echo=echo,
        store=options.store,
        sealed=SEALED in options.include,
        summary=options.summary,
        logprobs=options.logprobs,
        custom=tools.custom,
        effort=chat.get("reasoning_effort"),
        context=options.context,
    )


def _call(
    parsed: ParsedRequest, model: PublicModel, chat: dict[str, Any], spec: ResponseSpec, size: int, note: str
) -> ResponsesCall:
    effort = read_effort(chat, model.levels)
    return ResponsesCall(
        request_id=parsed.request_id,
        dialect="responses",
        model=model.name,
        body=chat,
        stream="stream" in chat,
        wants_usage=True,
        requested=effort.requested,
        effort_word=effort.word,
        effort_param=effort.param,
        ceiling=effort.ceiling,
        note=note,
        dial=read_dial(chat, model.name, model.policy.has_dial),
        limit=chat.get("max_completion_tokens"),
        size=size,
        answer_id=spec.id,
        unit=spec.unit,
        user=user_of(parsed.body),
        session=session_of(parsed.body, parsed.headers) or "",
        **read_references(parsed.body)._asdict(),
        stores=Fields(parsed.body).boolean("store"),
        client_retries=asgi.client_retries(parsed.headers),
        batch=is_batch(chat.get("service_tier"), parsed.headers),
        wants_effort_report=wants_effort_report(parsed.body, parsed.headers),
        key=parsed.principal.key,
        forwarded=asgi.forwarded(parsed.headers, parsed.backend_id),
        spec=spec,
    )

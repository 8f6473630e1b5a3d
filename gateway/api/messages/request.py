"""Reads a request into a call. Each field is checked and translated, ignored with a note to the client, or refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from gateway.api import asgi, checks
from gateway.api.chat.effort_fields import read_dial, wants_effort_report
from gateway.api.chat.request import is_batch
from gateway.api.dialect import ParsedRequest
from gateway.api.fields import Fields
from gateway.api.messages.conversation import failed_tools, read_conversation
from gateway.api.messages.thinking import read_thinking
from gateway.api.messages.thoughts import ThoughtReader
from gateway.api.messages.tools import read_format, read_tools
from gateway.api.references import read_references
from gateway.api.units import beginning_of, conversation_of, session_of
from gateway.auth.seal import Seal
from gateway.core.aliases import Headers
from gateway.core.call import Call
from gateway.core.errors import InvalidRequest
from gateway.routing.catalogue import Catalogue

# Ignored without a note: prefixes are cached anyway, and the gateway has no diagnostics.
_HARMLESS = frozenset({"cache_control", "diagnostics", "betas"})
_READ = frozenset(
    {
        *("model", "messages", "system", "max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k"),
        *("tools", "tool_choice", "thinking", "output_config", "metadata", "service_tier", "speed", "container"),
        *("inference_geo", "mcp_servers", "thinkgate", "include", "thread"),
    }
)
_READ_INSIDE = {
    "thinking": frozenset({"type", "budget_tokens", "display"}),
    "output_config": frozenset({"effort", "format"}),
}
_SAFE_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class MessagesCall(Call):
    """`omitted`: the client wants thinking encrypted instead of shown."""

    omitted: bool = False


def read_request(
    parsed: ParsedRequest, catalogue: Catalogue, max_messages: int, seal: Seal, counting: bool = False
) -> MessagesCall:
    """The validated call. `counting`: only tokens are counted, so `max_tokens` may be missing. InvalidRequest: a field
    is invalid or not supported.
    """
    body, headers = Fields(parsed.body, dotted=True), parsed.headers
    model = catalogue.find(body.needed("model"))
    thoughts = ThoughtReader(seal.bound(parsed.principal.key, model.name))
    limit = body.integer("max_tokens", 1, checks.MOST_TOKENS)
    if limit is None and not counting:
        raise body.missing("max_tokens")
    _refuse(body)
    thinking = read_thinking(body, model.levels, model.policy.has_dial, limit)
    stream = bool(body.boolean("stream"))
    unread = _unread(body)
    chat = {
        "model": model.name,
        "messages": read_conversation(body, max_messages, thoughts),
        **({} if limit is None else {"max_tokens": limit}),
        **({"stream": True} if stream else {}),
        **_sampling(body),
        **read_tools(body),
        **read_format(body),
        **thinking.chat,
    }
    return MessagesCall(
        request_id=parsed.request_id,
        dialect="messages",
        model=model.name,
        body=chat,
        stream=stream,
        wants_usage=True,
        requested=thinking.effort.requested,
        effort_word=thinking.effort.word,
        effort_param=thinking.effort.param,
        ceiling=thinking.effort.ceiling,
        note="; ".join(filter(None, (_ignored_note(unread), thoughts.dropped.note()))),
        unread=unread,
        dial=read_dial(body.given, model.name, model.policy.has_dial),
        limit=limit,
        limit_covers_thinking=thinking.wanted,
        size=parsed.size,
        unit=_unit(body, headers) or beginning_of(chat["messages"]) or parsed.request_id,
        user=_user(body),
        session=session_of(body.given, headers) or "",
        **read_references(parsed.body)._asdict(),
        failed_tools=failed_tools(body),
        client_retries=asgi.client_retries(headers),
        batch=is_batch(None, headers),
        wants_effort_report=wants_effort_report(body.given, headers),
        stops_answer=True,
        key=parsed.principal.key,
        forwarded=asgi.forwarded(headers, parsed.backend_id),
        omitted=thinking.omitted,
    )


def _sampling(body: Fields) -> dict[str, Any]:
    given = {
        "temperature": _float(body.number("temperature", 0, 2)),
        "top_p": _float(body.number("top_p", 0, 1)),
        "top_k": body.integer("top_k", 0, checks.MOST_TOKENS),
        "stop": _stops(body),
    }
    return {name: value for name, value in given.items() if value is not None}


def _stops(body: Fields) -> list[str] | None:
    stops = body.array("stop_sequences")
    for index, stop in enumerate(stops):
        if not isinstance(stop, str):
            raise checks.wrong_type(f"stop_sequences.{index}", "a string", stop)
        if not stop:
            raise body.wrong(f"stop_sequences.{index}", "must not be empty.")
    return stops or None


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _refuse(body: Fields) -> None:
    """Refuse unsupported fields that would change the answer."""
    body.word("service_tier", ("auto", "standard_only"))
    if body.word("speed", ("standard", "fast")) == "fast":
        raise body.unsupported("speed", "'fast' is not supported.")
    for name in ("container", "inference_geo", "mcp_servers"):
        if body.any(name):
            raise body.unsupported(name, "is not supported.")
    if body.any("thread") is not None:
        # Anthropic's SDK recognises this code: its tool runner then sends whole conversations instead.
        message = "thread is not supported: the gateway stores no conversations. Send it whole, without thread."
        raise InvalidRequest(message, param="thread", code="thread_unsupported_request")


def _unread(body: Fields) -> list[str]:
    """Unknown fields: of other releases, betas or other APIs."""
    names = [name for name in body.given if name not in _READ and name not in _HARMLESS]
    for outer, known in _READ_INSIDE.items():
        names += [f"{outer}.{name}" for name in body.table(outer).given if name not in known]
    return names


def _ignored_note(names: list[str]) -> str:
    """The note about ignored fields; names that cannot go into a header are left out."""
    shown = [name for name in names if _SAFE_NAME.fullmatch(name)][:10]
    return f"ignored: {', '.join(shown) or 'unknown fields'}" if names else ""


def _unit(body: Fields, headers: Headers) -> str | None:
    """What an experiment assigns: the conversation or session that the client names, else the user."""
    return conversation_of(body.given) or session_of(body.given, headers) or _user(body) or None


def _user(body: Fields) -> str:
    """The client's identifier of the end user; empty if it sent none."""
    return body.table("metadata").text("user_id") or ""

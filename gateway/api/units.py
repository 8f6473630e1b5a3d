"""The unit of a request: which conversation it belongs to, however the client says so, or if it says nothing.

An experiment assigns units, so a conversation must keep its unit as it grows. Clients name it in many places; where
none does, its beginning stands for it: that is sent again with every turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, Protocol

import orjson

from gateway.core.aliases import Headers
from gateway.core.unit import short

# In this order: the session of an agent before that of one of its sub-agents, so that both have the same arm.
SESSION_HEADERS = (
    "x-claude-code-session-id",
    "session-id",
    "session_id",
    "x-parent-session-id",
    "x-session-id",
    "x-session-affinity",
    "thread-id",
)
_SESSION_FIELDS = ("session_id", "thread_id")
# Most requests have none of these, which one look tells.
_SESSION_PLACES = frozenset(("prompt_cache_key", "session_id", "client_metadata", "metadata"))
_SESSION_NAMES = frozenset(SESSION_HEADERS)
DIGITS = b"0123456789"
_SAID_BY_THE_MODEL = frozenset({"assistant", "tool", "function"})


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


def conversation_of(body: Mapping[str, Any]) -> str | None:
    """The conversation that the body names outright: `conversation`, or `metadata.conversation_id`."""
    if "conversation" not in body and "metadata" not in body:
        return None
    given = body.get("conversation")
    named = given.get("id") if isinstance(given, dict) else given
    return _first((named, _table(body, "metadata").get("conversation_id")))


def session_of(body: Mapping[str, Any], headers: Headers) -> str | None:
    """The session that the client names: in a header, as a cache key, or in metadata."""
    if _SESSION_PLACES.isdisjoint(body) and _SESSION_NAMES.isdisjoint(headers):
        return None
    return _first(_sessions(body, headers))


def user_of(body: Mapping[str, Any]) -> str:
    """The end user as the client names him; empty if it does not."""
    for name in ("safety_identifier", "user"):
        user = body.get(name)
        if isinstance(user, str) and user:
            return short(user)
    return ""


def beginning_of(messages: Iterable[Mapping[str, Any]]) -> str | None:
    """A hash of all that comes before the model's first word: system prompts and the user's first message.

    `messages` are those of a chat completion. None: no user has said anything. Tools do not count: agents load more of
    them as a conversation goes on; nor do marks for the cache, which move to the latest message, nor the digits of
    system prompts, as many say what time it is.
    """
    digest = blake2b(digest_size=16)
    for message in messages:
        role = message.get("role")
        if role in _SAID_BY_THE_MODEL:
            continue
        digest.update(f"\0{role}\0".encode("utf-8", "surrogatepass"))
        _add(digest, message.get("content"), b"" if role == "user" else DIGITS)
        if role == "user":
            return f"beginning:{digest.hexdigest()}"
    return None


def _sessions(body: Mapping[str, Any], headers: Headers) -> Iterator[Any]:
    yield from (headers.get(name) for name in SESSION_HEADERS)
    yield body.get("prompt_cache_key")
    yield body.get("session_id")
    for name in ("client_metadata", "metadata"):
        table = _table(body, name)
        yield from (table.get(field) for field in _SESSION_FIELDS)
    yield _inside(_table(body, "metadata").get("user_id"))


def _inside(user_id: Any) -> Any:
    """Claude Code writes the session into the user's id, which is an object as JSON."""
    if not isinstance(user_id, str) or not user_id.startswith("{"):
        return None
    try:
        found = orjson.loads(user_id)
    except orjson.JSONDecodeError:
        return None
    return found.get("session_id") if isinstance(found, dict) else None


def _first(names: Iterable[Any]) -> str | None:
    return next((short(name) for name in names if isinstance(name, str) and name), None)


def _table(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _add(digest: _Hash, content: Any, without: bytes) -> None:
    """A text is the same whether it is sent as a string or as a list with one part, and `without` some characters."""
    for part in content if isinstance(content, list) else [content]:
        digest.update(b"\0")
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            digest.update(text.encode("utf-8", "surrogatepass").translate(None, without))
        elif isinstance(part, dict):
            rest = {name: value for name, value in part.items() if name != "cache_control"}
            digest.update(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS))

"""Signs that an answer was no use, which nobody has to report: implicit outcomes, each a score of 0.

No sign is no outcome. Conversations are remembered by hashes, so many of them, in this process.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from gateway.core.answer import AnswerContent
from gateway.core.call import Call
from gateway.storage.protocol import RecordIdentity

METRIC = "implicit"
# Of what is remembered, the oldest goes first.
MOST_CONVERSATIONS, MOST_CALLS = 16_384, 65_536
# In characters: shorter messages, such as "go on", are repeated by people who are content.
LEAST_QUESTION = 16
MODEL_ROLE = "assistant"


class Sign(NamedTuple):
    """`of` is the record whose answer was no use, `name` what the sign is called: `empty`, `asked_again`,
    `tool_failed`.
    """

    of: RecordIdentity
    name: str

    @property
    def source(self) -> str:
        return f"implicit:{self.name}"


class _Turn(NamedTuple):
    """The latest answer of a conversation, and the hash of the question that it is about."""

    of: RecordIdentity
    question: bytes | None


@dataclass(frozen=True, slots=True)
class ImplicitSignals:
    """The latest `turns` of conversations, by their units, and `calls` of tools that no result has come for, by hashes.

    Called on the event loop. The same conversation may be served by another process, which knows nothing of it."""

    turns: OrderedDict[str, _Turn] = field(default_factory=OrderedDict)
    calls: OrderedDict[bytes, RecordIdentity] = field(default_factory=OrderedDict)

    def observe(self, of: RecordIdentity, call: Call, answer: AnswerContent) -> Iterator[Sign]:
        """The signs that a request and its complete answer are, of this answer or of earlier ones. To be read to its
        end: it remembers the answer then.
        """
        if answer.finish_reason == "length" and not answer.text.strip() and not answer.tool_calls:
            yield Sign(of, "empty")
        for id in call.failed_tools:
            failed = self.calls.pop(_named(id, of.key), None)
            if failed is not None:
                yield Sign(failed, "tool_failed")
        yield from self._turn(of, call)
        for called in answer.tool_calls:
            if called.id:
                _remember(self.calls, _named(called.id, of.key), of, MOST_CALLS)

    def _turn(self, of: RecordIdentity, call: Call) -> Iterator[Sign]:
        messages, question = call.body.get("messages"), None
        if of.unit is None or not isinstance(messages, list) or not messages:
            return
        before = self.turns.pop(of.unit, None)
        if messages[-1].get("role") == "user":
            question = _question(messages[-1])
            if before is not None and question is not None and question == before.question and _goes_on(call, messages):
                yield Sign(before.of, "asked_again")
        elif before is not None:
            question = before.question  # tools answer: it is the same one
        _remember(self.turns, of.unit, _Turn(of, question), MOST_CONVERSATIONS)


def _goes_on(call: Call, messages: list[Any]) -> bool:
    """Whether it is surely of one conversation with what was said before, and no client's retry of a request."""
    named = bool(call.session) or any(message.get("role") == MODEL_ROLE for message in messages)
    return named and not call.client_retries


def _remember(among: OrderedDict[Any, Any], name: Any, what: Any, most: int) -> None:
    among[name] = what
    if len(among) > most:
        among.popitem(last=False)


def _named(id: str, key: str | None) -> bytes:
    return _hash(f"{key}\n{id}")


def _question(message: Mapping[str, Any]) -> bytes | None:
    """The hash of what the user says, whatever its spaces and case; None: too little to tell it by."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    text = " ".join(" ".join(text for text in texts if isinstance(text, str)).split()).casefold()
    return _hash(text) if len(text) >= LEAST_QUESTION else None


def _hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

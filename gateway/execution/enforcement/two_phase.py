"""A budget kept in two phases: the thought is ended where its budget is, and the backend writes on from there.

The first phase is a chat whose token ids are followed as they come. A thought that ends in time is not touched: the
answer is the backend's own. Else the backend is hung up on, and the second phase goes on from the same token ids and
the end of a thought, as a completion. The client gets one chat completion.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from gateway.backends.capabilities import Marks
from gateway.backends.http_reply import HttpReply
from gateway.backends.reply import EnforcedBudget
from gateway.backends.transport import Transport, root
from gateway.core.aliases import JsonObject
from gateway.core.backend_errors import BackendFailed, BackendRefused
from gateway.core.call import Call
from gateway.core.end_text import EndText
from gateway.core.errors import GatewayError
from gateway.core.plan import Plan
from gateway.core.reasoning import REASONING, REASONING_CONTENT, REASONING_FIELDS
from gateway.core.usage import Usage
from gateway.execution.enforcement.continuation import COMPLETIONS, continuation, room
from gateway.execution.enforcement.parts import (
    choices_of,
    chunk_like,
    event_of,
    ids_of,
    piece,
    text_of,
    usage_of,
    with_thought,
)
from gateway.execution.enforcement.tag_stripper import TagStripper
from gateway.execution.enforcement.thought import Thought
from gateway.execution.enforcement.transformed_reply import TransformedReply
from gateway.execution.streaming.chat_stream import DONE

# How long the text of a thought's last tokens may take, in seconds.
TEXT_S = 5.0


class ThoughtBudget(NamedTuple):
    """How many tokens a thought may have, and what ends it there: token ids, and the text that they are."""

    tokens: int
    marks: Marks
    end: EndText


class TwoPhase(TransformedReply):
    def __init__(
        self, transport: Transport, reply: HttpReply, plan: Plan, call: Call, budget: ThoughtBudget, spent_s: float
    ) -> None:
        """`plan` is what was sent for the first phase; `spent_s` of the time for the whole answer had been spent."""
        super().__init__(reply, plan)
        self.kept: EnforcedBudget = EnforcedBudget()
        self._transport, self._call, self._budget = transport, call, budget
        self._marks, self._end = budget.marks, budget.end
        self._began = time.perf_counter() - spent_s

    async def chunks(self) -> AsyncGenerator[bytes]:
        first = FirstPhase(self._plan, self._call, self._budget)
        self.kept.so_far = lambda: Usage(len(first.prompt) or None, len(first.ids), first.spent)
        async for events in self._read_events(first):
            yield events
        if first.enough:
            last = await self._last_words(first)
            if not first.prompt or first.ends_in(last, self._end.before):
                first.before = ()
            last += self._end.before if first.before else ""
            if last and not first.hides:
                yield event_of(chunk_like(first.head, [piece({first.field: last})]))
            self.kept.cut = not first.prompt
            async for events in self._written_on(first) if first.prompt else self._ended(first):
                yield events
        self.kept.thought = first.spent
        yield DONE

    async def _written_on(self, first: FirstPhase) -> AsyncGenerator[bytes]:
        """The second phase, and the usage of both."""
        body = self._plan.body
        # A grammar for the answer begins right after the mark.
        after = () if grammar(body) else self._marks.after
        forced = (*first.before, *self._marks.end, *after)
        done = len(first.ids) + len(forced)
        left, context = room(body, done), self._plan.deployment.max_context
        full = context is not None and len(first.prompt) + done >= context
        ids = {"token_ids": [*forced]} if first.shows_ids else {}
        text = self._end.shown if after else ""
        second = SecondPhase(first.head, self._end.stray, first.shows_ids)
        self.kept.so_far = lambda: Usage(len(first.prompt), done + second.spent, first.spent)
        if text or ids:
            yield event_of(chunk_like(first.head, [piece({"content": text} if text else {}, more=ids)]))
        if full or (left is not None and left <= 0):
            async for events in self._ended(first):
                yield events
        else:
            self._reply = await self._go_on(continuation(body, [*first.prompt, *first.ids, *forced], left, done))
            async for events in self._read_events(second):
                yield events
        usage = usage_of(len(first.prompt), done + second.spent, first.spent)
        yield event_of(chunk_like(first.head, [], usage=usage))

    async def _ended(self, first: FirstPhase) -> AsyncGenerator[bytes]:
        yield event_of(chunk_like(first.head, [piece({}, "length", {"stop_reason": None})]))

    async def _go_on(self, body: dict[str, Any]) -> HttpReply:
        """The backend's answer to the second phase. What it refuses of that is no fault of the client's."""
        spent_s = time.perf_counter() - self._began
        try:
            return await self._transport.post(replace(self._plan, body=body), self._call, spent_s, COMPLETIONS)
        except BackendRefused as error:
            if error.status >= 500 or error.status == 429:
                raise
            name = self._plan.deployment.name
            raise BackendFailed(f"The backend {name} did not continue after its reasoning ended.") from error

    async def _last_words(self, first: FirstPhase) -> str:
        """What was not passed on yet of the thought: pieces of text do not end where tokens do."""
        if first.hides or not first.written:
            return ""
        deployment = self._plan.deployment
        body = {"model": deployment.model, "tokens": first.ids[-first.written :]}
        try:
            status, raw = await self._transport.ask(
                deployment, f"{root(self._reply.url)}/detokenize", body, timeout_s=TEXT_S
            )
            text = orjson.loads(raw)["prompt"] if status == 200 else None
        except (GatewayError, ValueError, KeyError, TypeError):
            text = None
        return first.last_words(text if isinstance(text, str) else None)


class FirstPhase:
    """Hears the first phase: passes on what is within the budget, and no more."""

    def __init__(self, plan: Plan, call: Call, budget: ThoughtBudget) -> None:
        marks = budget.marks
        self.shows_ids = bool(call.body.get("return_token_ids"))
        self.hides = call.body.get("include_reasoning") is False
        self.head: JsonObject = {}
        self.prompt: list[int] = []
        self.ids: list[int] = []
        self.field = plan.deployment.family.answer_field or REASONING
        self.enough = False
        # What is written before the mark is thought, too; a budget that is smaller goes without.
        self.before = marks.before if len(marks.before) < budget.tokens else ()
        self._thought = Thought(budget.tokens - len(self.before), marks)
        self._said: list[str] = []
        self._held, self._share = "", 1.0

    @property
    def written(self) -> int:
        """Tokens of the thought that the backend wrote, of those passed on."""
        return self._thought.spent - self._thought.in_prompt

    @property
    def spent(self) -> int:
        """Tokens of the thought, with those that end it by force."""
        return self.written + (len(self.before) if self.enough else 0)

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        if self.enough:
            return b""
        self.head = chunk
        prompt = ids_of(chunk.get("prompt_token_ids"))
        if prompt and not self.prompt:
            self.prompt = prompt
            self._thought.read_prompt(prompt)
        if not self.shows_ids:
            chunk.pop("prompt_token_ids", None)
        usage, choices = chunk.get("usage"), choices_of(chunk)
        if isinstance(usage, dict):
            chunk["usage"] = with_thought(usage, self.spent)
        if not choices:
            return event_of(chunk)
        return event_of(chunk) if self._take(choices[0]) else b""

    def _take(self, choice: dict[str, Any]) -> bool:
        """Count one piece, and take out of it what is not to be passed on; whether anything is left."""
        delta, ids = choice.get("delta"), ids_of(choice.get("token_ids"))
        if text_of(delta, "content"):
            self._thought.over = True
        kept = self._thought.take(ids)
        self.ids += ids[:kept]
        choice |= {"token_ids": ids[:kept]} if self.shows_ids else {}
        if not self.shows_ids:
            choice.pop("token_ids", None)
        finished = bool(choice.get("finish_reason")) and kept == len(ids)
        self.enough = self._thought.struck and not self._thought.over and not finished
        words = text_of(delta, *REASONING_FIELDS)
        if words:
            self.field = REASONING if text_of(delta, REASONING) else REASONING_CONTENT
        if self.enough:
            self._held, self._share = words, kept / len(ids) if ids else 0.0
            choice["finish_reason"] = None
        elif words:
            self._said.append(words)
        if (self.enough or self.hides) and isinstance(delta, dict):
            for name in REASONING_FIELDS:
                delta.pop(name, None)
        return bool(delta or choice.get("finish_reason") or choice.get("token_ids"))

    def ends_in(self, last: str, text: str) -> bool:
        """Whether the thought, with these words at its end, ends as it should before its mark."""
        return ("".join(self._said) + last).endswith(text)

    def last_words(self, whole: str | None) -> str:
        """The rest of the thought, whose text is `whole`; without that, of the last piece as much as it has tokens."""
        said = "".join(self._said)
        if whole is not None:
            for text in (whole, whole.lstrip()):
                if text.startswith(said):
                    return text[len(said) :]
        return self._held[: round(len(self._held) * self._share)]


class SecondPhase:
    """Converts the second phase, a completion, to chat form."""

    enough = False

    def __init__(self, head: JsonObject, stray: Sequence[str], shows_ids: bool) -> None:
        self._head, self._shows_ids = head, shows_ids
        # Models may end a thought that has been ended for them once more.
        self._text = TagStripper(stray)
        self._written = 0
        self._reported: int | None = None

    @property
    def spent(self) -> int:
        return self._written if self._reported is None else self._reported

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        usage, choices = chunk.get("usage"), choices_of(chunk)
        reported = usage.get("completion_tokens") if isinstance(usage, dict) else None
        if type(reported) is int:
            self._reported = reported
        if not choices:
            return b""
        choice = choices[0]
        ids, reason = ids_of(choice.get("token_ids")), choice.get("finish_reason")
        self._written += len(ids)
        text = self._text.push(text_of(choice, "text"))
        if reason:
            text += self._text.finish()
        more = {"stop_reason": choice.get("stop_reason")} if reason else {}
        more |= {"token_ids": ids} if self._shows_ids else {}
        if not text and not more:
            return b""
        return event_of(chunk_like(self._head, [piece({"content": text} if text else {}, reason, more)]))


def grammar(body: JsonObject) -> bool:
    """Whether the answer has to have a form."""
    form = body.get("response_format")
    constrained = isinstance(form, dict) and form.get("type") not in (None, "text")
    return constrained or body.get("structured_outputs") is not None

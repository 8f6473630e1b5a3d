"""Enforces a budget in two phases: the gateway closes the reasoning block at the budget and continues generation.

The first phase is a chat completion whose token ids are counted as they arrive. If the reasoning ends within its
budget, the backend's answer is passed on. Otherwise the backend is hung up on, and the second phase, a completion,
continues from the same token ids plus the end of the reasoning. The client gets a single chat completion.
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
    limit_reached,
    piece,
    text_of,
    usage_of,
    with_thought,
)
from gateway.execution.enforcement.tag_stripper import TagStripper
from gateway.execution.enforcement.thought import Thought
from gateway.execution.enforcement.transformed_reply import TransformedReply
from gateway.execution.streaming.chat_stream import DONE

# Timeout in seconds of the request for the text of the last reasoning tokens.
TEXT_S = 5.0


class ThoughtBudget(NamedTuple):
    """The maximum number of thinking tokens, and what closes the reasoning there, as token ids and as text."""

    tokens: int
    marks: Marks
    end: EndText


class TwoPhase(TransformedReply):
    def __init__(
        self, transport: Transport, reply: HttpReply, plan: Plan, call: Call, budget: ThoughtBudget, spent_s: float
    ) -> None:
        """`plan` is what was sent for the first phase; `spent_s` is how much of the answer's time was spent by then."""
        super().__init__(reply, plan)
        self.enforced: EnforcedBudget = EnforcedBudget()
        self._transport, self._call, self._budget = transport, call, budget
        self._marks, self._end = budget.marks, budget.end
        self._began = time.perf_counter() - spent_s

    async def chunks(self) -> AsyncGenerator[bytes]:
        first = FirstPhase(self._plan, self._call, self._budget)
        self.enforced.so_far = lambda: Usage(len(first.prompt) or None, len(first.ids), first.spent)
        async for events in self._read_events(first):
            yield events
        if first.enough:
            rest = await self._remaining_text(first)
            if not first.prompt or first.ends_in(rest, self._end.before):
                first.before = ()
            rest += self._end.before if first.before else ""
            if rest and not first.hides:
                yield event_of(chunk_like(first.head, [piece({first.field: rest})]))
            self.enforced.cut = not first.prompt
            if not first.prompt:
                yield event_of(chunk_like(first.head, [limit_reached()]))
            else:
                async for events in self._continue(first):
                    yield events
        self.enforced.thought = first.spent
        yield DONE

    async def _continue(self, first: FirstPhase) -> AsyncGenerator[bytes]:
        """The events of the second phase, and the usage of both."""
        body = self._plan.body
        # A grammar for the answer applies right after the closing mark.
        after = () if grammar(body) else self._marks.after
        closing_ids = (*first.before, *self._marks.end, *after)
        done = len(first.ids) + len(closing_ids)
        room_left, context = room(body, done), self._plan.deployment.max_context
        full = context is not None and len(first.prompt) + done >= context
        ids = {"token_ids": [*closing_ids]} if first.shows_ids else {}
        text = self._end.shown if after else ""
        second = SecondPhase(first.head, self._end.stray, first.shows_ids)
        self.enforced.so_far = lambda: Usage(len(first.prompt), done + second.spent, first.spent)
        if text or ids:
            yield event_of(chunk_like(first.head, [piece({"content": text} if text else {}, more=ids)]))
        if full or (room_left is not None and room_left <= 0):
            yield event_of(chunk_like(first.head, [limit_reached()]))
        else:
            prompt = [*first.prompt, *first.ids, *closing_ids]
            self._reply = await self._post_continuation(continuation(body, prompt, room_left, done))
            async for events in self._read_events(second):
                yield events
        usage = usage_of(len(first.prompt), done + second.spent, first.spent)
        yield event_of(chunk_like(first.head, [], usage=usage))

    async def _post_continuation(self, body: dict[str, Any]) -> HttpReply:
        """The backend's answer to the second phase; its refusal is not the client's error."""
        spent_s = time.perf_counter() - self._began
        try:
            return await self._transport.post(replace(self._plan, body=body), self._call, spent_s, COMPLETIONS)
        except BackendRefused as error:
            if error.status >= 500 or error.status == 429:
                raise
            name = self._plan.deployment.name
            raise BackendFailed(f"The backend {name} did not continue after its reasoning ended.") from error

    async def _remaining_text(self, first: FirstPhase) -> str:
        """The reasoning text that was not forwarded yet: chunks of text and tokens may end at different places."""
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
        return first.remaining_text(text if isinstance(text, str) else None)


class FirstPhase:
    """The sink for the first phase; passes on what is within the budget."""

    def __init__(self, plan: Plan, call: Call, budget: ThoughtBudget) -> None:
        marks = budget.marks
        self.shows_ids = bool(call.body.get("return_token_ids"))
        self.hides = call.body.get("include_reasoning") is False
        self.head: JsonObject = {}
        self.prompt: list[int] = []
        self.ids: list[int] = []
        self.field = plan.deployment.family.answer_field or REASONING
        self.enough = False
        # The text before the closing mark counts as reasoning, and is left out if it does not fit into the budget.
        self.before = marks.before if len(marks.before) < budget.tokens else ()
        self._thought = Thought(budget.tokens - len(self.before), marks)
        self._forwarded: list[str] = []
        self._held, self._share = "", 1.0

    @property
    def written(self) -> int:
        """Thinking tokens that the backend wrote and that were passed on."""
        return self._thought.spent - self._thought.in_prompt

    @property
    def spent(self) -> int:
        """Thinking tokens, including those that the gateway wrote to close the reasoning."""
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
        """Count one chunk and remove what must not be passed on; returns whether anything is left."""
        delta, ids = choice.get("delta"), ids_of(choice.get("token_ids"))
        if text_of(delta, "content"):
            self._thought.over = True
        within = self._thought.take(ids)
        self.ids += ids[:within]
        choice |= {"token_ids": ids[:within]} if self.shows_ids else {}
        if not self.shows_ids:
            choice.pop("token_ids", None)
        finished = bool(choice.get("finish_reason")) and within == len(ids)
        self.enough = self._thought.exhausted and not self._thought.over and not finished
        words = text_of(delta, *REASONING_FIELDS)
        if words:
            self.field = REASONING if text_of(delta, REASONING) else REASONING_CONTENT
        if self.enough:
            self._held, self._share = words, within / len(ids) if ids else 0.0
            choice["finish_reason"] = None
        elif words:
            self._forwarded.append(words)
        if (self.enough or self.hides) and isinstance(delta, dict):
            for name in REASONING_FIELDS:
                delta.pop(name, None)
        return bool(delta or choice.get("finish_reason") or choice.get("token_ids"))

    def ends_in(self, rest: str, text: str) -> bool:
        """Whether the reasoning, with `rest` at its end, already ends in `text`."""
        return ("".join(self._forwarded) + rest).endswith(text)

    def remaining_text(self, whole: str | None) -> str:
        """The part of the reasoning `whole` that was not forwarded. If that is None: the share of the last chunk's text
        that is its share of tokens within the budget.
        """
        forwarded = "".join(self._forwarded)
        if whole is not None:
            for text in (whole, whole.lstrip()):
                if text.startswith(forwarded):
                    return text[len(forwarded) :]
        return self._held[: round(len(self._held) * self._share)]


class SecondPhase:
    """The sink for the second phase, a completion; converts it to chat form."""

    enough = False

    def __init__(self, head: JsonObject, stray: Sequence[str], shows_ids: bool) -> None:
        self._head, self._shows_ids = head, shows_ids
        # Models may write the closing tag again after the gateway has.
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
    """Whether the answer is constrained to a format."""
    form = body.get("response_format")
    constrained = isinstance(form, dict) and form.get("type") not in (None, "text")
    return constrained or body.get("structured_outputs") is not None

"""Enforces a budget by truncation: an answer whose reasoning exceeds it ends there, and the backend is hung up on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from gateway.backends.capabilities import Marks
from gateway.backends.chat_answer import read_usage
from gateway.backends.http_reply import HttpReply
from gateway.backends.reply import EnforcedBudget
from gateway.core.aliases import JsonObject
from gateway.core.call import Call
from gateway.core.plan import Plan
from gateway.core.reasoning import REASONING_FIELDS
from gateway.core.usage import Usage
from gateway.execution.enforcement.parts import (
    choices_of,
    event_of,
    ids_of,
    limit_reached,
    text_of,
    usage_of,
    with_thought,
)
from gateway.execution.enforcement.thought import Thought
from gateway.execution.enforcement.transformed_reply import TransformedReply, usage_after_stop
from gateway.execution.streaming.chat_stream import DONE

_ANSWER = ("content", "refusal")


class TruncatedReply(TransformedReply):
    def __init__(self, reply: HttpReply, plan: Plan, call: Call, budget: int, marks: Marks | None) -> None:
        """`marks` are given if token ids are reported; otherwise a chunk of reasoning counts as one token or more."""
        super().__init__(reply, plan)
        self.enforced: EnforcedBudget = EnforcedBudget()
        self._truncator = Truncator(budget, call, marks)

    async def chunks(self) -> AsyncGenerator[bytes]:
        truncator = self._truncator
        self.enforced.so_far = truncator.so_far
        async for events in self._read_events(truncator):
            yield events
        self.enforced.thought, self.enforced.cut = truncator.spent, truncator.cut
        for event in usage_after_stop(truncator):
            yield event
        yield DONE


class _ChoiceBudget:
    """The budget of one choice. `written` is the number of its tokens known so far."""

    __slots__ = ("ended", "spent", "thought", "written")

    def __init__(self, budget: int, marks: Marks | None) -> None:
        # One more, as only the token after the last granted one shows that the thought continues.
        self.thought = None if marks is None else Thought(budget + 1, marks)
        self.ended = False
        self.spent = self.written = 0


class Truncator:
    """The sink for an answer with any number of choices; ends each one whose thought exceeds the budget."""

    def __init__(self, budget: int, call: Call, marks: Marks | None) -> None:
        self._budget, self._marks = budget, marks
        self._shows_ids = bool(call.body.get("return_token_ids"))
        self._hides = call.body.get("include_reasoning") is False
        self._choices = {index: _ChoiceBudget(budget, marks) for index in range(call.choices)}
        self._prompt: int | None = None
        self.head: JsonObject = {}
        self.cut = False

    @property
    def enough(self) -> bool:
        return self.cut and all(choice.ended for choice in self._choices.values())

    @property
    def spent(self) -> int:
        return sum(choice.spent for choice in self._choices.values())

    def so_far(self) -> Usage:
        return Usage(self._prompt, sum(choice.written for choice in self._choices.values()), self.spent)

    @property
    def usage(self) -> JsonObject | None:
        """The usage so far; None if the backend does not report the prompt."""
        if self._prompt is None:
            return None
        return usage_of(self._prompt, self.so_far().completion_tokens or 0, self.spent)

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        self.head = chunk
        prompt = ids_of(chunk.get("prompt_token_ids"))
        if prompt:
            self._prompt = len(prompt)
            for choice in self._choices.values():
                if choice.thought is not None and not choice.written:
                    choice.thought.read_prompt(prompt)
        if not self._shows_ids:
            chunk.pop("prompt_token_ids", None)
        choices, usage = choices_of(chunk), chunk.get("usage")
        if not choices:
            if isinstance(usage, dict):
                chunk["usage"] = with_thought(usage, self.spent)
            return event_of(chunk)
        # The gateway requested running usage, not the client.
        running = read_usage(chunk.pop("usage", None))
        self._prompt = running.prompt_tokens if self._prompt is None else self._prompt
        shown = [shown for one in choices if (shown := self._choice(one, running)) is not None]
        return event_of({**chunk, "choices": shown}) if shown else b""

    def _choice(self, choice_in: dict[str, Any], running: Any) -> JsonObject | None:
        index = choice_in.get("index", 0)
        choice = self._choices.get(index)
        if choice is None or choice.ended:
            return None
        delta = choice_in.get("delta")
        if not self._within(choice, choice_in, delta, running):
            choice.ended = self.cut = True
            return limit_reached(index)
        choice.ended = bool(choice_in.get("finish_reason"))
        if not self._shows_ids:
            choice_in.pop("token_ids", None)
        if self._hides and isinstance(delta, dict):
            for name in REASONING_FIELDS:
                delta.pop(name, None)
        return choice_in if delta or choice.ended or choice_in.get("token_ids") or choice_in.get("logprobs") else None

    def _within(self, choice: _ChoiceBudget, choice_in: JsonObject, delta: Any, running: Any) -> bool:
        """Count one chunk; returns whether the thought is still within its budget."""
        ids, thought = ids_of(choice_in.get("token_ids")), choice.thought
        answers = bool(text_of(delta, *_ANSWER)) or bool(isinstance(delta, dict) and delta.get("tool_calls"))
        if thought is not None and ids:
            thought.over = thought.over or answers
            thought.take(ids)
            if thought.exhausted and not thought.over:
                return False
            choice.spent = thought.spent - thought.in_prompt
        else:
            spent = choice.spent + bool(text_of(delta, *REASONING_FIELDS))
            if running.reasoning_tokens is not None:
                spent = max(running.reasoning_tokens, choice.spent)
            if spent > self._budget:
                return False
            choice.spent = spent
        pieces = len(ids) or bool(delta)
        choice.written = max(choice.written + pieces, running.completion_tokens or 0)
        return True

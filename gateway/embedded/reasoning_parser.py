"""Thought and answer told apart, as vLLM's `qwen3` parser does: everything is thought until </think>.

<tool_call> ends a thought as well. The marks themselves are in neither part.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.embedded.tokenizer import Tokenizer

OPEN, CLOSE, CALL = "<think>", "</think>", "<tool_call>"
_MARKS = re.compile("|".join((OPEN, CLOSE, CALL)))


@dataclass(frozen=True, slots=True)
class ReasoningParts:
    reasoning: str = ""
    content: str = ""


class ReasoningParser:
    """Fed with pieces of text in their order. Without `thinking` all of it is answer, marks included."""

    def __init__(self, thinking: bool) -> None:
        self._raw = not thinking
        self._thinking = thinking
        self._held = ""

    def push(self, text: str) -> ReasoningParts:
        """What is certain so far: what may become a mark is held back."""
        if self._raw:
            return ReasoningParts(content=text)
        text, self._held = self._held + text, ""
        reasoning = ""
        if self._thinking:
            reasoning, text = self._thought(text)
        return ReasoningParts(reasoning, "" if self._thinking else self._answer(text))

    def finish(self) -> ReasoningParts:
        """What was held back and did not become a mark."""
        held, self._held = self._held, ""
        return ReasoningParts(reasoning=held) if self._thinking else ReasoningParts(content=held)

    def _thought(self, text: str) -> tuple[str, str]:
        """The thought in `text` and what comes after it; changes to the answer when the thought ends."""
        thought = []
        while mark := _MARKS.search(text):
            thought.append(text[: mark.start()])
            if mark[0] != OPEN:
                self._thinking = False
                return "".join(thought), text[mark.start() if mark[0] == CALL else mark.end() :]
            text = text[mark.end() :]
        return "".join(thought) + self._hold(text, (OPEN, CLOSE, CALL)), ""

    def _answer(self, text: str) -> str:
        before, _, last = text.rpartition(CLOSE)
        return before.replace(CLOSE, "") + self._hold(last, (CLOSE,))

    def _hold(self, text: str, marks: Sequence[str]) -> str:
        """`text` without an end that may be the beginning of a mark; that is kept for the next piece."""
        keep = max(overlap(text, mark) for mark in marks)
        text, self._held = text[: len(text) - keep], text[len(text) - keep :]
        return text


def overlap(text: str, mark: str) -> int:
    """How many characters at the end of `text` are the beginning of `mark`, but not all of it."""
    longest = min(len(text), len(mark) - 1)
    return next((size for size in range(longest, 0, -1) if mark.startswith(text[-size:])), 0)


def is_thinking(prompt: Sequence[int], tokenizer: Tokenizer, enabled: bool) -> bool:
    """Whether what follows `prompt` is a thought: one is open in its last turn, or one is still expected."""
    start, end = tokenizer.id_of(OPEN), tokenizer.id_of(CLOSE)
    for token in reversed(prompt):
        if token == end:
            return False
        if token == start:
            return enabled
        if token in tokenizer.special_ids:
            break
    return enabled


class ReasoningCounter:
    """Counts the tokens of the thought among the tokens of an answer; marks and special tokens do not count."""

    def __init__(self, tokenizer: Tokenizer, thinking: bool) -> None:
        self._start = tokenizer.id_of(OPEN)
        self._ends = (tokenizer.id_of(CLOSE), tokenizer.id_of(CALL))
        self._special = tokenizer.special_ids
        self._thinking = thinking
        self.count = 0

    def push(self, ids: Sequence[int]) -> None:
        for token in ids:
            if not self._thinking:
                return
            if token in self._ends:
                self._thinking = False
            elif token != self._start and token not in self._special:
                self.count += 1

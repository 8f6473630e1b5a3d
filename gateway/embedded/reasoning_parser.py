"""Separates reasoning from the answer as vLLM's `qwen3` parser does: everything before </think> is reasoning.

<tool_call> also ends the reasoning. The tags themselves are in neither part.
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
    """Parses text in consecutive pieces. Without `thinking`, all of it is the answer, tags included."""

    def __init__(self, thinking: bool) -> None:
        self._raw = not thinking
        self._thinking = thinking
        self._held = ""

    def push(self, text: str) -> ReasoningParts:
        """The parts that are certain so far; an end that may begin a tag is held back."""
        if self._raw:
            return ReasoningParts(content=text)
        text, self._held = self._held + text, ""
        reasoning = ""
        if self._thinking:
            reasoning, text = self._thought(text)
        return ReasoningParts(reasoning, "" if self._thinking else self._answer(text))

    def finish(self) -> ReasoningParts:
        """The text that was held back and did not become a tag."""
        held, self._held = self._held, ""
        return ReasoningParts(reasoning=held) if self._thinking else ReasoningParts(content=held)

    def _thought(self, text: str) -> tuple[str, str]:
        """Split `text` into reasoning and the rest; switches to the answer when the reasoning ends."""
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
        """`text` without an end that may begin a tag, which is held back for the next piece."""
        keep = max(overlap(text, mark) for mark in marks)
        text, self._held = text[: len(text) - keep], text[len(text) - keep :]
        return text


def overlap(text: str, mark: str) -> int:
    """The length of the longest proper prefix of `mark` that ends `text`."""
    longest = min(len(text), len(mark) - 1)
    return next((size for size in range(longest, 0, -1) if mark.startswith(text[-size:])), 0)


def is_thinking(prompt: Sequence[int], tokenizer: Tokenizer, enabled: bool) -> bool:
    """Whether reasoning follows `prompt`: it is open in the last turn, or still expected."""
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
    """Counts the reasoning tokens of an answer, without tags and special tokens."""

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

"""Enforces `thinking_token_budget`: counts the tokens after <think>, and forces </think> at the budget."""

from __future__ import annotations

from collections.abc import Sequence


class ThinkingBudget:
    """The budget of one answer; reasoning that is already in the prompt counts."""

    def __init__(self, budget: int, start: int, end: int, prompt: Sequence[int]) -> None:
        """`start` and `end` are the ids of <think> and </think>."""
        self._budget, self._start, self._end = budget, start, end
        opened, closed = _last(prompt, start), _last(prompt, end)
        self._thinking = opened > closed
        self._spent = len(prompt) - opened - 1 if self._thinking else 0

    @property
    def forced(self) -> int | None:
        """The token that must come next; None if the model may choose."""
        return self._end if self._thinking and self._spent >= self._budget else None

    def saw(self, token: int) -> None:
        if token == self._end:
            self._thinking, self._spent = False, 0
        elif self._thinking:
            self._spent += 1
        elif token == self._start:
            self._thinking, self._spent = True, 0


def _last(ids: Sequence[int], token: int) -> int:
    """The index of the last occurrence; -1 if there is none."""
    return next((index for index in range(len(ids) - 1, -1, -1) if ids[index] == token), -1)

"""Counts one answer's thinking tokens as they arrive."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.backends.capabilities import Marks


class Thought:
    """`spent` are the thinking tokens so far: without marks, and with those that the prompt has after its opening mark.

    `exhausted`: `most` tokens are spent, and the thought is not over.
    """

    __slots__ = ("_marks", "_most", "_opened", "_tail", "exhausted", "in_prompt", "over", "spent")

    def __init__(self, most: int, marks: Marks) -> None:
        self._most, self._marks = most, marks
        self._tail: tuple[int, ...] = ()
        self._opened = self.over = self.exhausted = False
        self.spent = self.in_prompt = 0

    def read_prompt(self, ids: Sequence[int]) -> None:
        """Find a thought that the chat template has opened in the prompt."""
        opened, closed = _after_last(ids, self._marks.start), _after_last(ids, self._marks.end)
        if opened > closed:
            self._opened = True
            self.spent = self.in_prompt = len(ids) - opened
            self.exhausted = self.spent >= self._most

    def take(self, ids: Sequence[int]) -> int:
        """Count the next tokens; returns how many of them precede the exhaustion of the budget."""
        for index, token in enumerate(ids):
            if self.over:
                break
            if self.exhausted:
                return index
            self._next(token)
        return len(ids)

    def _next(self, token: int) -> None:
        start, end = self._marks.start, self._marks.end
        self.spent += 1
        self._tail = (*self._tail, token)[-max(len(start), len(end)) :]
        if self._tail[-len(end) :] == end:
            self.over = True
            self.spent = max(self.spent - len(end), self.in_prompt)
        elif not self._opened and self._tail[-len(start) :] == start:
            self._opened = True
            self.spent = 0
        else:
            self.exhausted = self.spent >= self._most


def _after_last(ids: Sequence[int], mark: tuple[int, ...]) -> int:
    """Where the last occurrence of a mark ends; -1 when there is none."""
    backwards = ids[::-1]
    at = 0
    while True:
        try:
            at = backwards.index(mark[-1], at)
        except ValueError:
            return -1
        end = len(ids) - at
        if tuple(ids[max(end - len(mark), 0) : end]) == mark:
            return end
        at += 1

"""Continuous batching of one model: requests join while other answers are being generated, and leave when finished."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from gateway.embedded.answer import EngineAnswer, EngineOutput
from gateway.embedded.decoder import Decoder
from gateway.embedded.model import Array

# Prompt tokens processed between two steps of the running answers: more would delay those, fewer would be inefficient.
PREFILL_TOKENS = 256
Sent = tuple[EngineAnswer, EngineOutput]


@dataclass(slots=True)
class _Staged:
    """The contents of the decoder's staging row: the first `length` tokens of `ids`, and the logits after the last."""

    ids: list[int]
    length: int = 0
    logits: Array | None = None


class Batch:
    """Belongs to the decoding thread, except the counts, which any thread may read."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.waiting: deque[EngineAnswer] = deque()
        self.running: list[EngineAnswer] = []  # in the order of the decoder's rows
        self._reading: EngineAnswer | None = None
        self._staged = _Staged([])
        self.steps = 0

    @property
    def busy(self) -> bool:
        return bool(self.waiting or self.running or self._reading)

    @property
    def active(self) -> int:
        """The number of answers that are being generated, or whose prompt is being read."""
        return len(self.running) + (self._reading is not None)

    def advance(self) -> list[Sent]:
        """Read a part of a prompt, and append one token to every answer; returns the outputs to send, in order."""
        self._drop_cancelled()
        sending = self._read_prompts()
        if self.running:
            sending += self._write()
        return sending

    def _drop_cancelled(self) -> None:
        if any(answer.cancelled for answer in self.waiting):
            self.waiting = deque(answer for answer in self.waiting if not answer.cancelled)
        if self._reading and self._reading.cancelled:
            self._reading = None
        for row in reversed(range(len(self.running))):
            if self.running[row].cancelled:
                self._leave(row)

    def _read_prompts(self) -> list[Sent]:
        allowance, sending = PREFILL_TOKENS, list[Sent]()
        while allowance > 0 and (answer := self._next()):
            allowance -= self._read(answer, allowance)
            if self._staged.length == len(answer.prompt):
                self._reading = None
                sending += self._start(answer)
        return sending

    def _next(self) -> EngineAnswer | None:
        """The answer whose prompt is to be read now; None if none is waiting, or the batch is full."""
        if self._reading is None and self.waiting and len(self.running) < self._decoder.max_rows:
            self._reading = self.waiting.popleft()
            self._reading.times.scheduled = time.monotonic()
            self._reading.cached = self._stage(self._reading.prompt)
        return self._reading

    def _stage(self, prompt: list[int]) -> int:
        """Reuse the part of `prompt` that is already in the staging row, often the same prompt or conversation.

        Returns the number of cached tokens.
        """
        old = self._staged
        if old.ids[: old.length] == prompt:
            self._staged = _Staged(prompt, old.length, old.logits)
        else:
            self._staged = _Staged(prompt, min(_common(old.ids[: old.length], prompt), len(prompt) - 1))
        return self._staged.length

    def _read(self, answer: EngineAnswer, allowance: int) -> int:
        """Read at most `allowance` tokens of the prompt; returns how many."""
        staged = self._staged
        chunk = answer.prompt[staged.length : staged.length + allowance]
        if chunk:
            staged.logits = self._decoder.prefill(np.array(chunk), staged.length)
            staged.length += len(chunk)
        return max(1, len(chunk))

    def _start(self, answer: EngineAnswer) -> list[Sent]:
        """Append the first token; the answer joins the running ones unless it is complete."""
        assert self._staged.logits is not None
        logits = self._staged.logits
        output = answer.extend(logits, int(logits.argmax()))
        answer.times.first_token = time.monotonic()
        if not answer.complete:
            self._decoder.admit(len(answer.prompt))
            self.running.append(answer)
        return [(answer, output)] if output else []

    def _write(self) -> list[Sent]:
        ids = np.array([answer.last for answer in self.running])
        positions = np.array([answer.position for answer in self.running])
        logits = self._decoder.step(ids, positions)
        best = logits.argmax(axis=-1).tolist()
        self.steps += 1
        outputs = [answer.extend(row, top) for answer, row, top in zip(self.running, logits, best, strict=True)]
        sending = [(answer, output) for answer, output in zip(self.running, outputs, strict=True) if output]
        for row in reversed(range(len(self.running))):
            if self.running[row].complete:
                self._leave(row)
        return sending

    def _leave(self, row: int) -> None:
        last = self.running[-1]
        self._decoder.leave(row, last.position + 1)
        self.running[row] = last
        self.running.pop()


def _common(left: list[int], right: list[int]) -> int:
    """The length of the common prefix."""
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return min(len(left), len(right))

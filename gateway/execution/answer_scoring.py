"""Scores answers in the background, by the verifiers of their model, and keeps the scores as outcomes.

Clients wait for none of this. What waits is bounded: an answer that finds no room is not scored, and counted.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gateway.core.answer import AnswerContent
from gateway.core.outcome_row import OutcomeRow
from gateway.storage.protocol import RecordIdentity, RecordStore
from gateway.verification.job import VerificationJob
from gateway.verification.process import VerificationFailed, VerifierProcess
from gateway.verification.protocol import AnswerTask, VerifierSettings

log = logging.getLogger("thinkgate")

# How many answers may wait, and how many bytes their requests and texts may have.
MOST_WAITING, MOST_BYTES = 2000, 64 * 1024 * 1024
# How long a gateway that stops goes on with those that wait.
LAST_S = 60.0


class _Waiting(NamedTuple):
    store: RecordStore
    of: RecordIdentity
    verifiers: Sequence[VerifierSettings]
    task: AnswerTask
    answer: AnswerContent
    size: int


class AnswerScoring:
    """`count` is told what became of each verification, by its source and a word: `scored`, `undecided`, `failed`,
    `dropped`, `too_long`. The thread and its process begin with the first answer.
    """

    def __init__(self, count: Callable[[str, str], None]) -> None:
        self._count = count
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def submit(
        self,
        store: RecordStore,
        of: RecordIdentity,
        verifiers: Sequence[VerifierSettings],
        task: AnswerTask,
        answer: AnswerContent,
        size: int = 0,
    ) -> None:
        """Score any complete answer to a request, with those verifiers that have something to say of it.

        `of` is the record in `store` that the outcomes belong to, `size` the bytes that the request keeps in memory.
        Thread-safe, and returns at once.
        """
        applicable = [one for one in verifiers if one.applies(task, answer)]
        if not applicable:
            return
        size += len(answer.text) + sum(len(call.arguments) for call in answer.tool_calls)
        with self._changed:
            full = len(self._waiting) >= MOST_WAITING or (self._waiting and self._bytes + size > MOST_BYTES)
            if not full and not self._stopping:
                self._waiting.append(_Waiting(store, of, applicable, task, answer, size))
                self._bytes += size
                self._begin()
                self._changed.notify()
                return
        self.skip(applicable, "dropped")

    def skip(self, verifiers: Sequence[VerifierSettings], why: str) -> None:
        """An answer is not scored, for a reason that is counted."""
        for verifier in verifiers:
            self._count(verifier.source, why)

    def stop(self) -> None:
        """Returns when what waits is scored, or has had its time."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(LAST_S)
        with self._changed:
            left, self._thread = len(self._waiting), None
            self._waiting.clear()
        if left:
            log.warning("%d answers were not verified before the gateway stopped", left)

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="verification", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        process = VerifierProcess()
        try:
            while (next := self._next()) is not None:
                for verifier in next.verifiers:
                    self._score(process, verifier, next)
        finally:
            process.close()

    def _next(self) -> _Waiting | None:
        """What waits longest; None: nothing does, and nothing will."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            if not self._waiting:
                return None
            found = self._waiting.popleft()
            self._bytes -= found.size
            return found

    def _score(self, process: VerifierProcess, verifier: VerifierSettings, one: _Waiting) -> None:
        try:
            score = process.score(VerificationJob(verifier, one.task, one.answer))
        except VerificationFailed as error:
            log.warning("%s could not score request %s: %s", verifier.source, one.of.id, error)
            self._count(verifier.source, "failed")
            return
        if score is None:
            self._count(verifier.source, "undecided")
            return
        kept = one.store.rate(outcome_of(one.of, verifier.metric, verifier.source, score, verifier.weight))
        self._count(verifier.source, "scored" if kept else "failed")


def outcome_of(of: RecordIdentity, metric: str, source: str, score: float, weight: float = 1.0) -> OutcomeRow:
    """An outcome of the gateway's own. Its time is that of its request, so that what erases the one erases the other,
    also where the score comes later.
    """
    return OutcomeRow(of.id, metric, source, score, of.time, of.key, of.user, of.unit, weight=weight)

"""The decoding thread: advances the batches of all models in turn, and delivers the outputs once per round."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from gateway.embedded.answer import EngineAnswer, EngineOutput
from gateway.embedded.batch import Batch
from gateway.embedded.errors import QueueFull

Outputs = Sequence[tuple[EngineAnswer, EngineOutput]]


class Scheduler:
    """`deliver` is called in the decoding thread once per round, `failed` if decoding raises."""

    def __init__(
        self,
        batches: Mapping[str, Batch],
        max_queue: int,
        deliver: Callable[[Outputs], None],
        failed: Callable[[], None],
    ) -> None:
        self._batches, self._max_queue = batches, max_queue
        self._deliver, self._failed = deliver, failed
        self._arrived: list[tuple[str, EngineAnswer]] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="decoding", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Abandon all running answers and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def waiting(self, model: str) -> int:
        arrived = sum(name == model for name, _ in self._arrived)
        return len(self._batches[model].waiting) + arrived

    def running(self, model: str) -> int:
        return self._batches[model].active

    def submit(self, model: str, answers: Sequence[EngineAnswer]) -> None:
        """Queue all answers. Raises QueueFull if there is no room for all; then none is queued."""
        with self._changed:
            waiting = self.waiting(model)
            if waiting + len(answers) > self._max_queue:
                raise QueueFull(model, waiting)
            self._arrived += [(model, answer) for answer in answers]
            self._changed.notify()

    def _run(self) -> None:
        try:
            while self._take_arrived():
                self._round()
        except BaseException:
            self._failed()
            raise

    def _take_arrived(self) -> bool:
        """Wait for work; returns False if the thread is to end."""
        with self._changed:
            while not (self._stopping or self._arrived or any(batch.busy for batch in self._batches.values())):
                self._changed.wait()
            for model, answer in self._arrived:
                self._batches[model].waiting.append(answer)
            self._arrived.clear()
            return not self._stopping

    def _round(self) -> None:
        outputs = [sent for batch in self._batches.values() if batch.busy for sent in batch.advance()]
        now = time.monotonic()
        for answer, output in outputs:
            if output.finish:
                answer.times.finished = now
        if outputs:
            self._deliver(outputs)

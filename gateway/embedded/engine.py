"""The engine: models, scheduler and metrics behind one asynchronous interface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace

from gateway.embedded.answer import EngineAnswer, EngineOutput
from gateway.embedded.batch import Batch
from gateway.embedded.errors import Failed, ModelNotServed, QueueFull
from gateway.embedded.metrics import EngineMetrics
from gateway.embedded.sampling import SamplingParams
from gateway.embedded.scheduler import Outputs, Scheduler
from gateway.embedded.served import Served

Piece = tuple[int, EngineOutput]


class Engine:
    """Must be started in the event loop that uses it."""

    def __init__(self, models: Mapping[str, Served], max_queue: int, failed: Callable[[], None]) -> None:
        """`failed` is called in the event loop if decoding fails; the engine then gives no further answers."""
        self.models, self._max_queue, self._failed = models, max_queue, failed
        self.metrics = EngineMetrics(list(models))
        batches = {name: Batch(served.decoder) for name, served in models.items()}
        self._scheduler = Scheduler(batches, max_queue, self._deliver, self._break)
        for name, served in models.items():
            self._watch(name, served)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._scheduler.start()

    def stop(self) -> None:
        self._scheduler.stop()

    @property
    def healthy(self) -> bool:
        return self._scheduler.alive

    def model(self, name: str | None) -> Served:
        """The model of this name; the first one if there is no name. Raises ModelNotServed."""
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise ModelNotServed(name, list(self.models))
        return self.models[name]

    def generate(
        self, served: Served, prompts: Sequence[Sequence[int]], params: SamplingParams, n: int, streamed: bool
    ) -> EngineGeneration:
        """`n` answers to every prompt, numbered in that order. Raises QueueFull."""
        if not self.healthy:
            raise Failed("The engine has stopped decoding.")
        if len(prompts) * n > self._max_queue:  # before allocating that many answers
            self.metrics.rejected(served.name)
            raise QueueFull(served.name, self._scheduler.waiting(served.name))
        generation = EngineGeneration(self.metrics, served.name)
        copies = [(prompt, copy) for prompt in prompts for copy in range(n)]
        answers = [
            EngineAnswer(served, prompt, _seeded(params, copy), generation.receiver(index), streamed)
            for index, (prompt, copy) in enumerate(copies)
        ]
        generation.answers = answers
        try:
            self._scheduler.submit(served.name, answers)
        except QueueFull:
            self.metrics.rejected(served.name)
            raise
        return generation

    def _watch(self, name: str, served: Served) -> None:
        running, waiting = self._scheduler.running, self._scheduler.waiting
        self.metrics.watch(name, lambda: running(name), lambda: waiting(name), served.decoder.max_rows)

    def _deliver(self, outputs: Outputs) -> None:
        self._loop.call_soon_threadsafe(_hand_over, outputs)

    def _break(self) -> None:
        self._loop.call_soon_threadsafe(self._failed)


class EngineGeneration:
    """The answers to one request as they are generated. Closing it cancels the unfinished ones."""

    def __init__(self, metrics: EngineMetrics, model: str) -> None:
        self._metrics, self._model = metrics, model
        self._pieces: asyncio.Queue[Piece] = asyncio.Queue()
        self._unfinished: set[int] = set()
        self.answers: list[EngineAnswer] = []

    def receiver(self, index: int) -> Callable[[EngineOutput], None]:
        self._unfinished.add(index)

        def receive(output: EngineOutput) -> None:
            if index not in self._unfinished:
                return
            if output.finish:
                self._unfinished.discard(index)
                self._metrics.finished(self._model, self.answers[index], output.finish)
            self._pieces.put_nowait((index, output))

        return receive

    async def pieces(self) -> AsyncIterator[Piece]:
        """Every output with the index of its answer, until all answers are complete."""
        left = len(self.answers)
        while left:
            piece = await self._pieces.get()
            left -= piece[1].finish is not None
            if piece[1].finish == "error":
                raise Failed("The grammar allows no further token.")
            yield piece

    def close(self) -> None:
        for index in self._unfinished:
            self.answers[index].cancelled = True
            self._metrics.finished(self._model, self.answers[index], "abort")
        self._unfinished.clear()


def _seeded(params: SamplingParams, copy: int) -> SamplingParams:
    """The parameters of one of several answers, each with its own seed."""
    return params if params.seed is None else replace(params, seed=params.seed + copy)


def _hand_over(outputs: Outputs) -> None:
    for answer, output in outputs:
        answer.receive(output)

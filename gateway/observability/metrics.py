"""Prometheus metrics. A request only queues its record; it is counted in the background and at each scrape."""

from __future__ import annotations

import os
from collections import deque
from functools import cache
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.core.queue_observer import QueueObserver
from gateway.core.record import Record
from gateway.observability.instruments import NAMESPACE, RELOADS, Instruments
from gateway.observability.paired_instruments import PairedInstruments
from gateway.observability.shadow_instruments import ShadowInstruments

# The client library's variable for the folder of shared counters; must be set before a worker imports the library.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class _OfModel(NamedTuple):
    """The labelled children of one public model."""

    latency: Histogram
    ttft: Histogram
    first_answer: Histogram
    thinking: Histogram
    prompt: Counter
    reasoning: Counter
    answer: Counter


class Metrics(Instruments):
    def __init__(self) -> None:
        super().__init__()
        self.paired = PairedInstruments(self.registry, NAMESPACE)
        self.shadows = ShadowInstruments(self.registry, NAMESPACE)
        self.active = 0
        # Looking up labelled children is slow.
        self._model = cache(self._of_model)
        self._outcome = cache(lambda model, arm, status, reason: self.requests.labels(model, arm, str(status), reason))
        self._verdict = cache(lambda deployment, verdict: self.budgets.labels(deployment, verdict))
        self._finished: deque[Record] = deque()

    def watch(self, deployment: str) -> QueueObserver:
        """The observer of a deployment's admission queue."""
        return QueueObserver(
            self.queued.labels(deployment).set,
            self.queue_seconds.labels(deployment).observe,
            self.overloaded.labels(deployment).inc,
        )

    def fell_back(self, deployment: str) -> None:
        self.fallbacks.labels(deployment).inc()

    def disagrees(self, deployment: str, what: str, does: bool) -> None:
        """Note whether a deployment contradicts its family row in one respect."""
        self.disagreements.labels(deployment, what).set(does)

    def serves(self, model: str, router: str | None, before: str | None = None) -> None:
        """This process serves a model with this router version from now on, and no longer with the one before.

        `router` is None where the model is served no longer.
        """
        if before is not None:
            self.routers.labels(model, before).set(0)
        if router is not None:
            self.routers.labels(model, router).set(1)

    def serves_configuration(self, version: str, before: str | None = None) -> None:
        if before is not None:
            self.configurations.labels(before).set(0)
        self.configurations.labels(version).set(1)

    def verified(self, source: str, result: str) -> None:
        """Count what became of an answer at a verifier. Thread-safe."""
        self.verifications.labels(source, result).inc()

    def began(self) -> None:
        self.active += 1

    def finished(self, record: Record) -> None:
        self.active -= 1
        self._finished.append(record)

    def settle(self) -> None:
        """Count the requests that finished since the last call. Thread-safe."""
        while self._finished:
            try:
                record = self._finished.popleft()
            except IndexError:
                break  # another thread took the last one
            self._count(record)
        self.in_flight.set(self.active)

    def _count(self, record: Record) -> None:
        """Count one finished request. Unknown model names are no labels, as clients could create any number of them."""
        name = record.model if record.arm else "unknown"
        self._outcome(name, record.arm or "", record.status, record.reason or "").inc()
        model = self._model(name)
        model.latency.observe(record.latency or 0.0)
        if record.decision_ms is not None:
            self.decision.observe(record.decision_ms)
        if record.ttft is not None:
            model.ttft.observe(record.ttft)
        if record.first_answer_ms is not None:
            model.first_answer.observe(record.first_answer_ms / 1000)
        if record.prompt_tokens is not None:
            model.prompt.inc(record.prompt_tokens)
        if record.completion_tokens is not None:
            thought = record.reasoning_tokens or 0
            model.reasoning.inc(thought)
            model.answer.inc(max(record.completion_tokens - thought, 0))
            if record.decided is not None:
                model.thinking.observe(thought)
        if record.probe is not None:
            self._probed(name, record)
        if record.verdict is not None:
            self._verdict(record.deployment, record.verdict).inc()
        if record.degraded:
            self.degraded.labels(name).inc()
        if record.lost_to_length:
            self.lost_to_length.labels(name).inc()
        if record.exceeded is not None:
            self.exceeded.labels(record.deployment).inc(record.exceeded)

    def _probed(self, name: str | None, record: Record) -> None:
        self.probes.labels(name, record.probe).inc()
        self.probe_seconds.labels(name).observe((record.probe_ms or 0.0) / 1000)
        if record.probe != "kept":
            self.tokens.labels(name, "probe").inc(record.probe_tokens or 0)

    def _of_model(self, name: str | None) -> _OfModel:
        return _OfModel(
            latency=self.latency.labels(name),
            ttft=self.ttft.labels(name),
            first_answer=self.first_answer.labels(name),
            thinking=self.thinking.labels(name),
            prompt=self.tokens.labels(name, "prompt"),
            reasoning=self.tokens.labels(name, "reasoning"),
            answer=self.tokens.labels(name, "answer"),
        )

    def text(self) -> bytes:
        """The metrics in text format, of this process or of all workers together."""
        self.settle()
        registry = self.registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def reloaded_by_supervisor(outcome: str) -> None:
    """Count a reload in the supervisor of several workers, whose own registry is never scraped."""
    name, help, labels = RELOADS
    key = mmap_key(f"thinkgate_{name}", f"thinkgate_{name}_total", [*labels], [outcome], help)
    file = MmapedDict(str(Path(os.environ[SHARED_FOLDER], f"counter_{os.getpid()}.db")))  # type: ignore[no-untyped-call]
    value, at = file.read_value(key)  # type: ignore[no-untyped-call]
    file.write_value(key, value + 1, at)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]

"""What Prometheus sees. Each set has a registry of its own, so that one process can hold several gateways.

A request only leaves its record here; counting is done in the background and before each scrape.
"""

from __future__ import annotations

import os
from collections import deque
from functools import cache
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.core.load import QueueObserver
from gateway.core.record import Record

# The client library's own name for where processes count together; set before a worker imports it.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
TOKENS = (0, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
_RELOADS = "Routers that were to be read again; outcome is loaded, unchanged or refused."
MILLISECONDS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50)


class _OfModel(NamedTuple):
    """What is counted for one public model."""

    latency: Histogram
    ttft: Histogram
    thinking: Histogram
    prompt: Counter
    reasoning: Counter
    answer: Counter


class Metrics:
    def __init__(self) -> None:
        self.active = 0
        # What labels belong to is looked up once.
        self._model = cache(self._of_model)
        self._outcome = cache(lambda model, arm, status, reason: self.requests.labels(model, arm, str(status), reason))
        self._verdict = cache(lambda deployment, verdict: self.budgets.labels(deployment, verdict))
        self._finished: deque[Record] = deque()
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "thinkgate_requests",
            "Requests, by public model, arm, status and reason for the effort.",
            ("model", "arm", "status", "reason"),
            registry=registry,
        )
        self.tokens = Counter(
            "thinkgate_tokens",
            "Tokens as the backends report them; kind is prompt, reasoning, answer, or probe: of those thrown away.",
            ("model", "kind"),
            registry=registry,
        )
        self.thinking = Histogram(
            "thinkgate_thinking_tokens", "Thinking tokens per request.", ("model",), buckets=TOKENS, registry=registry
        )
        self.latency = Histogram(
            "thinkgate_latency_seconds", "Whole requests.", ("model",), buckets=SECONDS, registry=registry
        )
        self.ttft = Histogram(
            "thinkgate_ttft_seconds", "Time to first token of streams.", ("model",), buckets=SECONDS, registry=registry
        )
        self.decision = Histogram(
            "thinkgate_decision_milliseconds",
            "From parsed request to decision.",
            buckets=MILLISECONDS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "thinkgate_in_flight", "Requests being answered now.", registry=registry, multiprocess_mode="livesum"
        )
        self.retries = Counter(
            "thinkgate_upstream_retries", "Requests passed on to another replica.", ("deployment",), registry=registry
        )
        self.lost_connections = Counter(
            "thinkgate_lost_connections",
            "Connections closed or refused for want of room; why is head, idle, full or address.",
            ("why",),
            registry=registry,
        )
        self.refused = Counter(
            "thinkgate_refused",
            "Requests without a key that is valid; why is missing, malformed, unknown, expired or revoked.",
            ("why",),
            registry=registry,
        )
        self.queued = Gauge(
            "thinkgate_queued",
            "Requests that wait for a place at a deployment.",
            ("deployment",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.queue_seconds = Histogram(
            "thinkgate_queue_seconds",
            "How long requests that had to wait did so.",
            ("deployment",),
            buckets=SECONDS,
            registry=registry,
        )
        self.overloaded = Counter(
            "thinkgate_overloaded", "Requests that a deployment had no place for.", ("deployment",), registry=registry
        )
        self.fallbacks = Counter(
            "thinkgate_fallbacks", "Requests that another deployment stood in for.", ("deployment",), registry=registry
        )
        self.sign_in = Counter(
            "thinkgate_upstream_sign_in_refused",
            "Answers by which a backend did not take the gateway's own key.",
            ("deployment",),
            registry=registry,
        )
        self.budgets = Counter(
            "thinkgate_budget_answers",
            "Answers under a thinking budget; verdict is within, over or unknown.",
            ("deployment", "verdict"),
            registry=registry,
        )
        self.exceeded = Counter(
            "thinkgate_budget_exceeded_tokens",
            "Thinking tokens beyond the budgets that were granted.",
            ("deployment",),
            registry=registry,
        )
        self.probes = Counter(
            "thinkgate_probes",
            "Short answers that were asked for first; outcome is kept, thrown_away, failed or unfinished.",
            ("model", "outcome"),
            registry=registry,
        )
        self.probe_seconds = Histogram(
            "thinkgate_probe_seconds",
            "How long probes took until they were decided by.",
            ("model",),
            buckets=SECONDS,
            registry=registry,
        )
        self.disagreements = Gauge(
            "thinkgate_family_disagreements",
            "1 where a deployment was seen not to do what its family's row says.",
            ("deployment", "what"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.reloads = Counter("thinkgate_router_reloads", _RELOADS, ("outcome",), registry=registry)
        self.routers = Gauge(
            "thinkgate_router_serving",
            "Processes that serve a model with this version of its router.",
            ("model", "router"),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.lost = Gauge(
            "thinkgate_records_lost", "Records that could not be written.", registry=registry, multiprocess_mode="sum"
        )

    def watch(self, deployment: str) -> QueueObserver:
        """What a deployment's gate reports to."""
        return QueueObserver(
            self.queued.labels(deployment).set,
            self.queue_seconds.labels(deployment).observe,
            self.overloaded.labels(deployment).inc,
        )

    def disagrees(self, deployment: str, what: str, does: bool) -> None:
        """A deployment was probed."""
        self.disagreements.labels(deployment, what).set(does)

    def serves(self, model: str, router: str, before: str | None = None) -> None:
        """This process serves a model with this version from now on, and with the one before no more."""
        if before is not None:
            self.routers.labels(model, before).set(0)
        self.routers.labels(model, router).set(1)

    def began(self) -> None:
        self.active += 1

    def finished(self, record: Record) -> None:
        self.active -= 1
        self._finished.append(record)

    def settle(self) -> None:
        """Count what has finished since the last time. Any thread may call it, several at once too."""
        while self._finished:
            try:
                record = self._finished.popleft()
            except IndexError:
                break  # another thread took the last one
            self._count(record)
        self.in_flight.set(self.active)

    def _count(self, record: Record) -> None:
        """One finished request. An unknown model name is not a label: clients could make any number of them."""
        name = record.model if record.arm else "unknown"
        self._outcome(name, record.arm or "", record.status, record.reason or "").inc()
        model = self._model(name)
        model.latency.observe(record.latency or 0.0)
        if record.decision_ms is not None:
            self.decision.observe(record.decision_ms)
        if record.ttft is not None:
            model.ttft.observe(record.ttft)
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
            thinking=self.thinking.labels(name),
            prompt=self.tokens.labels(name, "prompt"),
            reasoning=self.tokens.labels(name, "reasoning"),
            answer=self.tokens.labels(name, "answer"),
        )

    def text(self) -> bytes:
        """Of this process, or of all workers together where there are several."""
        self.settle()
        registry = self.registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def reloaded_by_the_first(outcome: str) -> None:
    """Count a reload in the first process of several, which serves nothing: its own registry is asked by nobody."""
    name = "thinkgate_router_reloads"
    key = mmap_key(name, f"{name}_total", ["outcome"], [outcome], _RELOADS)
    file = MmapedDict(str(Path(os.environ[SHARED_FOLDER], f"counter_{os.getpid()}.db")))  # type: ignore[no-untyped-call]
    value, at = file.read_value(key)  # type: ignore[no-untyped-call]
    file.write_value(key, value + 1, at)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]

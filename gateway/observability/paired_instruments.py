"""Metrics of what an experiment's other arms answer in the background."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from gateway.core.record import Record


class PairedInstruments:
    """These answers are not among those of clients' requests."""

    def __init__(self, registry: CollectorRegistry, namespace: str) -> None:
        self.answers = Counter(
            "paired_answers",
            "Answers of an experiment's other arms in the background; outcome is answered, failed or cut_short.",
            ("experiment", "arm", "outcome"),
            namespace=namespace,
            registry=registry,
        )
        self.skips = Counter(
            "paired_skipped",
            "Requests that were drawn for an answer of every arm and got none; why is a limit, busy, client_gone, "
            "refused, passthrough, choices, tools or stopping.",
            ("experiment", "why"),
            namespace=namespace,
            registry=registry,
        )

    def finished(self, record: Record) -> None:
        outcome = "cut_short" if record.client_gone else "answered" if record.status == 200 else "failed"
        self.answers.labels(record.experiment, record.arm, outcome).inc()

    def skipped(self, experiment: str, why: str) -> None:
        self.skips.labels(experiment, why).inc()

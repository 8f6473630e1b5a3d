"""Counts answers in the background in place of `Metrics`, where they are accounted for."""

from __future__ import annotations

from prometheus_client import Gauge

from gateway.core.record import Record
from gateway.observability.metrics import Metrics


class PairedCounts:
    def __init__(self, metrics: Metrics) -> None:
        self.lost: Gauge = metrics.lost
        self._paired = metrics.paired

    def began(self) -> None:
        pass

    def finished(self, record: Record) -> None:
        self._paired.finished(record)

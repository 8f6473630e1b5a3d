"""Counts answers in the background in place of `Metrics`, where they are accounted for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import Gauge

from gateway.core.record import Record


@dataclass(frozen=True, slots=True)
class PairedCounts:
    """`ended` is told of each answer; `lost` are the records that could not be written."""

    lost: Gauge
    ended: Callable[[Record], None]

    def began(self) -> None:
        pass

    def finished(self, record: Record) -> None:
        self.ended(record)

"""What a process uses over time: memory, open files, CPU; and whether a line of figures is flat."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from loadtests.processes import Process

# A line is flat if its end lies no more than this above its beginning.
FLAT = 0.05


@dataclass(slots=True)
class Sample:
    """At `at` seconds since the watch began: MiB resident, open files, CPU seconds so far, and what else is counted."""

    at: float
    rss_mib: float
    files: int
    cpu_s: float
    count: float = 0.0


@dataclass
class Watch:
    """Samples a process from entering to leaving. `count` is asked each time, for a column of its own."""

    process: Process
    every_s: float = 1.0
    count: Callable[[], float] = lambda: 0.0
    samples: list[Sample] = field(default_factory=list)

    def __enter__(self) -> Watch:
        self._started = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._take()

    def _run(self) -> None:
        self._take()
        while not self._stopping.wait(self.every_s):
            self._take()

    def _take(self) -> None:
        at = time.monotonic() - self._started
        process = self.process
        self.samples.append(Sample(at, process.rss_mib(), process.files(), process.cpu_s(), self.count()))


def growth(values: Sequence[float], settle: float = 0.2) -> float:
    """How far the end lies above the beginning, as a share: medians of the last fifth and of the first one.

    The first `settle` of the values do not count: caches and pools fill. 0.0 for too few values to say.
    """
    settled = values[int(settle * len(values)) :]
    fifth = len(settled) // 5
    if fifth == 0 or median(settled[:fifth]) == 0:
        return 0.0
    return median(settled[-fifth:]) / median(settled[:fifth]) - 1

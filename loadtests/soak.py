"""A load that stays the same for long, and what must stay the same with it: memory, open files, a record per request.

The gateway's own process is watched, not the engine's. Memory is flat if the last fifth of the run lies no more than
5 % above the first one after settling. Once the load has ended, open files must be back where they were, and there must
be a record for each request that was sent.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from loadtests.gateway import Embedded
from loadtests.plots import lines
from loadtests.watch import FLAT, Sample, Watch, growth

SAMPLES = 300
# Idle connections to the engine are let go after a few seconds; a busy machine may take longer.
SETTLES_S = 60.0
SPARE_FILES = 8


class Soak:
    """Watches from entering to leaving, and until all is calm again."""

    def __init__(self, gateway: Embedded, seconds: float) -> None:
        process = gateway.process.alone()
        self._watch = Watch(process, max(0.2, seconds / SAMPLES), lambda: float(count(gateway.records)))
        self._gateway = gateway

    def __enter__(self) -> Soak:
        self._watch.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + SETTLES_S
        before = -1
        while time.monotonic() < deadline:
            time.sleep(0.5)
            now = count(self._gateway.records)
            if now == before and self._watch.process.files() <= self._watch.samples[0].files + SPARE_FILES:
                break
            before = now
        self._watch.__exit__()

    def report(self, summary: Path | None, plot: Path | None) -> str:
        """In words; the samples go into the summary file, too."""
        samples = self._watch.samples
        if summary is not None and summary.exists():
            figures = json.loads(summary.read_text("utf-8"))
            figures["soak"] = [asdict(sample) for sample in samples]
            figures["rss_growth"] = growth(_rss(samples))
            summary.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
        if plot is not None:
            lines(plot, "Soak", "seconds", _series(samples))
        return text(samples)


def text(samples: Sequence[Sample]) -> str:
    """What became of memory, files and records."""
    grown, first, last = growth(_rss(samples)), samples[0], samples[-1]
    peak = max(sample.files for sample in samples)
    back = last.files <= first.files + SPARE_FILES
    return "\n".join(
        [
            f"memory: {first.rss_mib:.0f} MiB before, {last.rss_mib:.0f} at the end, {grown:+.1%} over the run: "
            f"{'flat' if grown <= FLAT else 'NOT FLAT'}",
            f"open files: {first.files} before, at most {peak}, {last.files} after: "
            f"{'back where they were' if back else 'NOT BACK'}",
            f"records: {last.count:.0f}",
        ]
    )


def count(database: Path) -> int:
    """Rows in the table of records; 0 until there is one."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reader,
    ):
        return int(reader.execute("SELECT count(*) FROM records").fetchone()[0])
    return 0


def _rss(samples: Sequence[Sample]) -> list[float]:
    return [sample.rss_mib for sample in samples]


def _series(samples: Sequence[Sample]) -> dict[str, list[tuple[float, float]]]:
    return {
        "RSS, MiB": [(sample.at, sample.rss_mib) for sample in samples],
        "open files": [(sample.at, float(sample.files)) for sample in samples],
        "records": [(sample.at, sample.count) for sample in samples],
    }

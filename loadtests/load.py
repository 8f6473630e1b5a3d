"""One run under locust: sessions still to be played, and what became of the requests."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loadtests.report import Sample, summarise, table
from loadtests.traffic import Session


class Load:
    """Shared by all users of a run. At most `requests` are sent; `summary` is a file for the figures."""

    def __init__(self, sessions: Iterator[Session], requests: int, summary: Path | None, plot: Path | None) -> None:
        self._sessions = sessions
        self._left = requests
        self.summary = summary
        self.plot = plot
        self.open = 0  # sessions that are being played
        self.samples: list[Sample] = []
        self.started = self.ended = time.perf_counter()

    def session(self) -> Session | None:
        """The next one; None when all requests are sent."""
        return next(self._sessions) if self._left > 0 else None

    def take(self) -> bool:
        """Whether one more request may be sent."""
        self._left -= 1
        return self._left >= 0

    def at(self) -> float:
        """Seconds since the load began."""
        return time.perf_counter() - self.started

    def begin(self, **_: Any) -> None:
        self.started = time.perf_counter()

    def stop(self, **_: Any) -> None:
        self.ended = time.perf_counter()

    def figures(self) -> dict[str, Any]:
        return summarise(self.samples, self.ended - self.started)

    def report(self, **_: Any) -> None:
        """The table, and the same figures as JSON and as a picture where files were named."""
        figures = self.figures()
        print(f"\n{table(figures)}\n", flush=True)
        self.write(figures)
        if self.plot is not None:
            from loadtests.plots import spread

            whole = [sample for sample in self.samples if sample.error is None and not sample.left]
            found = {
                "whole answer": [sample.seconds for sample in whole],
                "first token": [sample.first_token_s for sample in whole if sample.first_token_s is not None],
                "between tokens": [sample.token_gap_s for sample in whole if sample.token_gap_s is not None],
            }
            spread(self.plot, "Times", {name: values for name, values in found.items() if values})

    def write(self, figures: dict[str, Any]) -> None:
        if self.summary is not None:
            self.summary.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")

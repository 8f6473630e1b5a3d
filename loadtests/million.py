"""`python -m loadtests.million`: short requests at full rate, by the hundred thousand, and whether memory grows.

Every request differs: prompts of the task suite in turn, each with a user of its own, so that anything kept per prompt,
user or request shows. The learned decision is on, and records are written as ever. Memory is the median over the share
of requests after the warm-up, and over as many at the end; it may grow by at most 5 %. CPU is the gateway's.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import click

from loadtests.connection import Broken, Connection
from loadtests.gateway import thinkgate
from loadtests.many import run
from loadtests.peers.target import Target
from loadtests.peers.upstream import Upstream
from loadtests.plots import lines
from loadtests.processes import need_proc
from loadtests.watch import FLAT, Watch
from router_model import extras
from router_model.tasks import generate

PROMPTS = 500
MARK = b"user-@@@@@@@@@"
# The share of requests over which memory is read, at the beginning and at the end.
WINDOW = 0.05


class Load:
    """What has been sent so far, and what went wrong."""

    def __init__(self, target: Target, requests: int) -> None:
        self._target = target
        self._templates = _templates(target)
        self._left = requests
        self.sent = 0
        self.errors: Counter[str] = Counter()

    async def run(self, connections: int) -> None:
        await asyncio.gather(*(self._one() for _ in range(connections)))

    async def _one(self) -> None:
        connection: Connection | None = None
        for request in self._requests():
            try:
                if connection is None or not connection.open:
                    connection = await Connection.connect(self._target.port)
                reply = await connection.ask(request)
                if reply.status != 200:
                    self.errors[f"status {reply.status}"] += 1
            except (Broken, OSError) as error:
                self.errors[str(error)] += 1
                connection = None
        if connection is not None:
            connection.close()

    def _requests(self) -> Iterator[bytes]:
        while self.sent < self._left:
            self.sent += 1
            yield self._templates[self.sent % len(self._templates)].replace(MARK, b"user-%09d" % self.sent)


def _templates(target: Target) -> list[bytes]:
    return [
        target.request({"model": target.model, "messages": prompt.messages, "max_tokens": 512, "user": MARK.decode()})
        for prompt in generate(1, PROMPTS, split="held-out")
    ]


@click.command()
@click.option("--requests", default=1_000_000, show_default=True)
@click.option("--warm-up", default=50_000, show_default=True, help="Requests before memory is read.")
@click.option("--connections", default=32, show_default=True)
@click.option("--workers", default=1, show_default=True, help="Of the gateway; memory and CPU are those of all.")
@click.option("--model", default="dial", show_default=True, help="`asking` asks for a probe first.")
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here, too.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Memory over requests, as a PNG.")
@click.option("--strict", is_flag=True, help="Exit with 1 if memory grows by more than 5 %, or a request fails.")
def main(
    requests: int,
    warm_up: int,
    connections: int,
    workers: int,
    model: str,
    file: Path | None,
    plot: Path | None,
    strict: bool,
) -> None:
    """Short requests at full rate: memory, rate and CPU."""
    if plot:
        extras.need("learn")
    need_proc()
    with Upstream() as transport, tempfile.TemporaryDirectory(prefix="thinkgate-million-") as folder:
        process, port = thinkgate(transport.url, Path(folder), workers)
        with process:
            load = Load(Target(port, model), requests)
            idle = process.rss_mib()
            with Watch(process, 0.5, lambda: load.sent) as watch:
                begun, cpu = time.monotonic(), process.cpu_s()
                run(load.run(connections))
                seconds, cpu = time.monotonic() - begun, process.cpu_s() - cpu
        records = _records(Path(folder) / "thinkgate.db")
    warm, end = _memory(watch, warm_up, requests), _memory(watch, int(requests * (1 - WINDOW)), requests)
    figures: dict[str, Any] = {
        "requests": requests,
        "workers": workers,
        "errors": dict(load.errors),
        "records": records,
        "seconds": seconds,
        "requests_per_s": requests / seconds,
        "cpu_ms_per_request": 1000 * cpu / requests,
        "rss_idle_mib": idle,
        "rss_warm_mib": warm,
        "rss_end_mib": end,
        "rss_peak_mib": max(sample.rss_mib for sample in watch.samples),
        "rss_growth": end / warm - 1,
        "files_end": watch.samples[-1].files,
    }
    verdicts = {
        "no error": not load.errors,
        "a record for each request": records == requests,
        f"growth <= {FLAT:.0%} after {warm_up} requests": figures["rss_growth"] <= FLAT,
    }
    click.echo(_text(figures, verdicts))
    if file is not None:
        samples = [asdict(sample) for sample in watch.samples]
        file.write_text(json.dumps({**figures, "verdicts": verdicts, "samples": samples}, indent=2) + "\n", "utf-8")
    if plot is not None:
        lines(plot, f"{requests} requests", "requests", {"RSS, MiB": [(s.count, s.rss_mib) for s in watch.samples]})
    if strict and not all(verdicts.values()):
        sys.exit(1)


def _memory(watch: Watch, first: int, requests: int) -> float:
    """Median MiB over the window of requests that begins at `first`; the nearest sample if there is none in it."""
    last = first + int(WINDOW * requests)
    inside = [sample.rss_mib for sample in watch.samples if first <= sample.count <= last]
    nearest = min(watch.samples, key=lambda sample: abs(sample.count - first))
    return median(inside) if inside else nearest.rss_mib


def _records(database: Path) -> int:
    """Rows, after the gateway has ended and so has imported them all."""
    connection = sqlite3.connect(database)
    try:
        return int(connection.execute("SELECT count(*) FROM records").fetchone()[0])
    finally:
        connection.close()


def _text(figures: dict[str, Any], verdicts: dict[str, bool]) -> str:
    return "\n".join(
        [
            f"{figures['requests']} requests in {figures['seconds']:.0f} s: {figures['requests_per_s']:.0f} "
            f"per second, {figures['cpu_ms_per_request']:.3f} ms CPU of the gateway each",
            f"errors {figures['errors'] or 'none'}; {figures['records']} records",
            f"RSS: idle {figures['rss_idle_mib']:.1f}, warm {figures['rss_warm_mib']:.1f}, end "
            f"{figures['rss_end_mib']:.1f}, peak {figures['rss_peak_mib']:.1f} MiB: {figures['rss_growth']:+.1%}",
            *(f"{'pass' if kept else 'MISS'}  {bar}" for bar, kept in verdicts.items()),
        ]
    )


if __name__ == "__main__":
    main()

"""`python -m loadtests.streams`: a thousand streams at once through one worker, and what they do to its memory.

Each stream brings 5 chunks a second, lives 10 to 30 s and is followed by another, so that the number stays. The
learned decision is on. Load, backend and gateway share the machine. Counted: streams that did not end as they should,
chunks that came later than one beat (0.2 s) after they left the backend, CPU per chunk, and the gateway's memory at
rest, over time and at its peak. The bar: no error, at most 400 MiB, and flat: the last fifth of the run no more than
5 % above the first one after settling.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from loadtests.gateway import thinkgate
from loadtests.many import RAMP_S, hold, run
from loadtests.peers.target import Target
from loadtests.peers.upstream import Upstream
from loadtests.plots import lines
from loadtests.processes import need_proc
from loadtests.watch import FLAT, Sample, Watch, growth
from router_model import extras

MOST_MIB = 400


@click.command()
@click.option("--streams", default=1000, show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="600 for the promise of ten minutes.")
@click.option("--beat", default=0.2, show_default=True, help="Seconds between the chunks of a stream.")
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here, too.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Memory over time, as a PNG.")
@click.option("--strict", is_flag=True, help="Exit with 1 if the bar is missed.")
def main(streams: int, seconds: float, beat: float, file: Path | None, plot: Path | None, strict: bool) -> None:
    """Hold many streams open through one worker of the gateway."""
    if plot:
        extras.need("learn")
    need_proc()
    with Upstream() as transport, tempfile.TemporaryDirectory(prefix="thinkgate-streams-") as folder:
        process, port = thinkgate(transport.url, Path(folder))
        with process:
            idle = process.rss_mib()
            with Watch(process) as watch:
                life = (min(10.0, seconds / 2), min(30.0, seconds))
                held = run(hold(Target(port, "dial"), streams, seconds, beat, life))
    steady = [sample.rss_mib for sample in watch.samples if RAMP_S < sample.at < seconds]
    cpu_s = watch.samples[-1].cpu_s - watch.samples[0].cpu_s
    peak = max(sample.rss_mib for sample in watch.samples)
    figures: dict[str, Any] = {
        "streams": streams,
        "seconds": seconds,
        "whole": held.whole,
        "errors": dict(held.errors),
        "chunks": held.chunks,
        "chunks_per_s": held.chunks / seconds,
        "late_p50_ms": held.late_ms(0.5),
        "late_p99_ms": held.late_ms(0.99),
        "late_max_ms": held.late_ms(1.0),
        "later_than_a_beat": held.share_later(beat),
        "cpu_share": cpu_s / seconds,
        "cpu_us_per_chunk": 1e6 * cpu_s / max(1, held.chunks),
        "rss_idle_mib": idle,
        "rss_peak_mib": peak,
        "rss_end_mib": watch.samples[-1].rss_mib,
        "rss_growth": growth(steady),
        "files_start": watch.samples[0].files,
        "files_peak": max(sample.files for sample in watch.samples),
        "files_end": watch.samples[-1].files,
    }
    verdicts = {
        "no error": not held.errors and held.whole > 0,
        f"<= {MOST_MIB} MiB": peak <= MOST_MIB,
        f"flat (<= {FLAT:.0%})": growth(steady) <= FLAT,
    }
    click.echo(_text(figures, verdicts))
    if file is not None:
        samples = [asdict(sample) for sample in watch.samples]
        file.write_text(json.dumps({**figures, "verdicts": verdicts, "samples": samples}, indent=2) + "\n", "utf-8")
    if plot is not None:
        lines(plot, f"{streams} streams", "seconds", _series(watch.samples))
    if strict and not all(verdicts.values()):
        sys.exit(1)


def _series(samples: list[Sample]) -> dict[str, list[tuple[float, float]]]:
    return {
        "RSS, MiB": [(sample.at, sample.rss_mib) for sample in samples],
        "open files": [(sample.at, float(sample.files)) for sample in samples],
    }


def _text(figures: dict[str, Any], verdicts: dict[str, bool]) -> str:
    late = " / ".join("-" if figures[key] is None else f"{figures[key]:.1f}" for key in _LATE)
    return "\n".join(
        [
            f"{figures['streams']} streams for {figures['seconds']:.0f} s: {figures['whole']} whole, "
            f"errors {figures['errors'] or 'none'}",
            f"{figures['chunks']} chunks, {figures['chunks_per_s']:.0f} per second; late p50 / p99 / most: {late} ms; "
            f"later than a beat: {figures['later_than_a_beat']:.3%}",
            f"CPU of the gateway: {figures['cpu_share']:.0%} of a core, {figures['cpu_us_per_chunk']:.0f} us per chunk",
            f"RSS: idle {figures['rss_idle_mib']:.0f}, peak {figures['rss_peak_mib']:.0f}, end "
            f"{figures['rss_end_mib']:.0f} MiB, growth {figures['rss_growth']:+.1%}; open files: "
            f"{figures['files_start']}, at most {figures['files_peak']}, at the end {figures['files_end']}",
            *(f"{'pass' if kept else 'MISS'}  {bar}" for bar, kept in verdicts.items()),
        ]
    )


_LATE = ("late_p50_ms", "late_p99_ms", "late_max_ms")

if __name__ == "__main__":
    main()

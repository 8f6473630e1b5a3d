"""`python -m loadtests.peers`: ours, its floor and its rivals side by side in one run, as tables and as JSON.

What is measured, for each in front of the same upstream that answers at once:
CPU time per plain request and per stream of 14 chunks; latency beyond the direct way, one request at a time and 50 at
once, each taking the backend 50 to 150 ms; how many streams of 5 chunks a second it holds; memory; and what it loses on
the way. Rivals are measured if they are installed: `--install` does that, each into a folder of its own.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from loadtests.peers import bars as promised
from loadtests.peers import report
from loadtests.peers.cases import DIRECT, FLOOR, OURS, Case, left_out, start
from loadtests.peers.fidelity import check
from loadtests.peers.install import install
from loadtests.peers.measure import Size, measure, row
from loadtests.peers.rivals import RIVALS
from loadtests.peers.upstream import Upstream
from loadtests.processes import ROOT, need_proc

NAMES = [rival.name for rival in RIVALS]


@click.command()
@click.option(
    "--install", "installs", is_flag=True, help="First install the rivals that are not there (1.3 GB in all)."
)
@click.option("--folder", type=click.Path(path_type=Path), default=ROOT / ".peers", help="Where rivals are installed.")
@click.option("--only", "names", multiple=True, type=click.Choice(NAMES), help="Only these rivals; may be repeated.")
@click.option("--no-rivals", is_flag=True, help="Only the floor and ours.")
@click.option("--requests", default=600, show_default=True, help="Plain requests per round; a third as many streams.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--stream-seconds", default=6.0, show_default=True, help="Seconds per step of streams; 0: no streams.")
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here, too.")
@click.option("--strict", is_flag=True, help="Exit with 1 if a bar is missed.")
def main(
    installs: bool,
    folder: Path,
    names: tuple[str, ...],
    no_rivals: bool,
    requests: int,
    rounds: int,
    stream_seconds: float,
    file: Path | None,
    strict: bool,
) -> None:
    """CPU time, latency, streams, memory and fidelity of proxies in front of a backend that answers at once."""
    need_proc()
    chosen: list[str] | None = list(names) if names or no_rivals else None
    if installs:
        for rival in RIVALS:
            if chosen is None or rival.name in chosen:
                install(rival, folder, _say)
    with ExitStack() as stack:
        transport = stack.enter_context(Upstream())
        own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="thinkgate-peers-")))
        cases = start(stack, transport, own, folder, chosen)
        missing = left_out(cases, folder, chosen)
        found, failed = measure(cases, Size(requests, rounds, stream_seconds), _say)
        missing |= failed
        for name in {DIRECT, FLOOR, OURS} & failed.keys():
            raise click.ClickException(f"{name}: {failed[name]}")
        cases = [case for case in cases if case.name in found]
        rows = [row(case, found) for case in cases]
        fidelity = _fidelity(cases, transport)
    judged = promised.bars(found, {row["name"]: row for row in rows}, fidelity)
    _print(rows, fidelity, judged, missing)
    if file is not None:
        figures = {
            "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()},
            "rounds": {
                name: {"cpu_ms_request": one.cpu_request, "cpu_ms_stream": one.cpu_stream}
                for name, one in found.items()
            },
            "rows": rows,
            "fidelity": fidelity,
            "bars": [asdict(bar) for bar in judged],
            "left_out": missing,
        }
        file.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    if strict and any(bar.kept is False for bar in judged):
        sys.exit(1)


def _fidelity(cases: list[Case], transport: Upstream) -> dict[str, dict[str, Any]]:
    """By row, then by proxy."""
    by_case = {}
    for case in cases:
        if case.faithful is not None:
            _say(f"fidelity of {case.name}")
            by_case[case.name] = check(case.faithful, transport)
    return {name: {case: asdict(rows[name]) for case, rows in by_case.items()} for name in by_case[OURS]}


def _print(rows: list[dict[str, Any]], fidelity: dict[str, Any], judged: list[Any], missing: dict[str, str]) -> None:
    click.echo(
        "\nCPU per request and per stream of 14 chunks (median of rounds); latency added to direct, one at a time"
    )
    click.echo(
        "and 50 at once; streams held at 5 chunks/s (most tried: 1000) and how late their chunks come; RSS in MiB"
    )
    for line in (*report.costs(rows), "", *report.fidelity(fidelity), "", *report.judged(judged)):
        click.echo(line)
    for name, why in missing.items():
        click.echo(f"LEFT OUT: {name}: {why}")


def _say(what: str) -> None:
    click.echo(f"  {what}", err=True)


if __name__ == "__main__":
    main()

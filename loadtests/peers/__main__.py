"""`python -m loadtests.peers`: rounds of the same requests through each proxy in turn, and one table."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import click

from loadtests.peers import client, proxy
from loadtests.peers.proxy import MESSAGES, Case
from loadtests.peers.upstream import CHUNKS, Upstream

WARM_UP = 50
FLOOR = "floor: FastAPI + aiohttp"


@click.command()
@click.option("--requests", default=600, show_default=True, help="Plain requests per round; a third as many streams.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here, too.")
def main(requests: int, rounds: int, file: Path | None) -> None:
    """CPU time, latency and memory of proxies in front of a backend that answers at once."""
    if not sys.platform.startswith("linux"):
        raise click.ClickException("the CPU time of other processes is read from /proc, which only Linux has")
    with ExitStack() as stack:
        backend = stack.enter_context(Upstream())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="thinkgate-peers-")))
        floor = stack.enter_context(proxy.floor(backend.url))
        ours = stack.enter_context(proxy.thinkgate(backend.url, folder))
        cases = [
            Case(FLOOR, floor, {"model": "m", "messages": MESSAGES}),
            Case("thinkgate, effort named by the client", ours, {"model": "named", "messages": MESSAGES}),
            Case("thinkgate, learned decision", ours, {"model": "dial", "messages": MESSAGES}),
        ]
        rows = _measure(cases, requests, rounds)
    click.echo(_table(rows))
    if file is not None:
        file.write_text(json.dumps({"rows": rows}, indent=2) + "\n", "utf-8")


def _measure(cases: Sequence[Case], requests: int, rounds: int) -> list[dict[str, Any]]:
    """Cases take turns within a round, so that all meet the same machine; medians over rounds."""
    found: dict[str, list[dict[str, float]]] = {case.name: [] for case in cases}
    for _ in range(rounds):
        for case in cases:
            plain_cpu, plain = _run(case, requests, stream=False)
            stream_cpu, _ = _run(case, max(requests // 3, 1), stream=True)
            ordered = sorted(plain)
            found[case.name].append(
                {
                    "cpu_ms_request": plain_cpu,
                    "cpu_ms_stream": stream_cpu,
                    "p50_ms": 1000 * ordered[len(ordered) // 2],
                    "p99_ms": 1000 * ordered[int(0.99 * len(ordered))],
                    "rss_mib": case.proxy.rss_mib(),
                }
            )
    rows: list[dict[str, Any]] = [
        {"name": name, **{field: median(run[field] for run in runs) for field in runs[0]}}
        for name, runs in found.items()
    ]
    for row in rows:
        for kind in ("request", "stream"):
            row[f"{kind}_over_floor"] = row[f"cpu_ms_{kind}"] / rows[0][f"cpu_ms_{kind}"]
    return rows


def _run(case: Case, n: int, stream: bool) -> tuple[float, Sequence[float]]:
    """CPU milliseconds per request, and the seconds that each took."""
    body = case.body | {"stream": stream}
    client.ask(case.proxy.port, body, WARM_UP)
    before = case.proxy.cpu_s()
    seconds = client.ask(case.proxy.port, body, n)
    return 1000 * (case.proxy.cpu_s() - before) / n, seconds


def _table(rows: Sequence[dict[str, Any]]) -> str:
    stream = f"per {CHUNKS}-chunk stream"
    lines = [
        f"{'CPU ms':<40}{'per request':>13}{'x floor':>9}{stream:>21}{'x floor':>9}"
        f"{'p50 ms':>8}{'p99 ms':>8}{'RSS MiB':>9}"
    ]
    lines += [
        f"{row['name']:<40}{row['cpu_ms_request']:>13.3f}{row['request_over_floor']:>9.2f}{row['cpu_ms_stream']:>21.3f}"
        f"{row['stream_over_floor']:>9.2f}{row['p50_ms']:>8.2f}{row['p99_ms']:>8.2f}{row['rss_mib']:>9.0f}"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

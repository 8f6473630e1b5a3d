"""What each case costs: CPU time and latency in rounds, streams held, memory. Cases take turns within a round.

CPU time is that of the proxy's whole process tree by the scheduler's clock; the figure is the median over rounds, and
the ratio to another case is the median of the ratios within the rounds, so that both met the same machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

from loadtests.many import Held, hold, largest, latencies, run
from loadtests.peers import client
from loadtests.peers.cases import DIRECT, Case
from loadtests.report import quantile

WARM_UP = 50
IN_FLIGHT = 50
STEPS = (100, 250, 500, 1000)
BEAT_S = 0.2


@dataclass(frozen=True)
class Size:
    """How much is asked of each case in a round: plain requests one by one, a third as many streams, and as many

    requests again, `IN_FLIGHT` at once. Seconds for each step of streams; 0 leaves them out.
    """

    requests: int
    rounds: int
    stream_s: float


@dataclass
class Measured:
    """Figures of one case. CPU in ms per request, one for each round; latencies in ms, alone and `IN_FLIGHT` at once.

    `held` and `chunk_us` have one entry for each try at streams: what became of them, CPU microseconds per chunk.
    """

    cpu_request: list[float] = field(default_factory=list)
    cpu_stream: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    at_once: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    held: list[Held] = field(default_factory=list)
    chunk_us: list[float] = field(default_factory=list)
    rss_idle: float = 0.0
    rss_after: float = 0.0


def measure(
    cases: Sequence[Case], size: Size, say: Callable[[str], None]
) -> tuple[dict[str, Measured], dict[str, str]]:
    """The figures of each case; and of those that cannot answer what they are asked, why: they are left out."""
    found = {case.name: Measured(rss_idle=_rss(case)) for case in cases}
    failed: dict[str, str] = {}

    def attempt(case: Case, work: Callable[[Case, Measured], None]) -> None:
        try:
            if case.name in found:
                work(case, found[case.name])
        except (RuntimeError, OSError, ValueError) as error:
            say(f"{case.name} is left out: {error}")
            failed[case.name] = f"it does not answer: {error}"
            del found[case.name]

    for number in range(size.rounds):
        say(f"round {number + 1} of {size.rounds}")
        for case in cases:
            attempt(case, partial(_round, size=size, seed=number))
    for case in cases:
        say(f"streams through {case.name}")
        attempt(case, partial(_streams, seconds=size.stream_s))
    return found, failed


def row(case: Case, found: dict[str, Measured]) -> dict[str, Any]:
    """The figures of a case; what is added is added to the direct way's own latency."""
    mine, direct = found[case.name], found[DIRECT]
    added = {
        f"added_{name}_p{round(100 * q)}_ms": _at(q, getattr(mine, name)) - _at(q, getattr(direct, name))
        for name in ("alone", "at_once")
        for q in (0.5, 0.99)
    }
    last = mine.held[-1] if mine.held else None
    return {
        "name": case.name,
        "about": case.about,
        "cpu_ms_request": median(mine.cpu_request),
        "cpu_ms_request_min": min(mine.cpu_request),
        "cpu_ms_stream": median(mine.cpu_stream),
        "cpu_ms_stream_min": min(mine.cpu_stream),
        "p50_ms": _at(0.5, mine.alone),
        "p99_ms": _at(0.99, mine.alone),
        **added,
        "streams": largest(mine.held, BEAT_S),
        "streams_tried": last.streams if last else 0,
        "cpu_us_chunk": mine.chunk_us[-1] if mine.chunk_us else None,
        "chunk_late_p99_ms": last.late_ms(0.99) if last else None,
        "stream_errors": dict(last.errors) if last else {},
        "errors_at_once": dict(mine.errors),
        "rss_idle_mib": mine.rss_idle,
        "rss_after_mib": mine.rss_after,
    }


def ratio(found: dict[str, Measured], kind: str, mine: str, other: str) -> float:
    """Ours by theirs, the median of the rounds; `kind` is `cpu_request` or `cpu_stream`."""
    pairs: Iterator[tuple[float, float]] = zip(getattr(found[mine], kind), getattr(found[other], kind), strict=True)
    return median(ours / theirs for ours, theirs in pairs)


def _at(q: float, values: Sequence[float]) -> float:
    found = quantile(values, q)
    assert found is not None, "every case is measured"
    return found


def _rss(case: Case) -> float:
    return case.process.rss_mib() if case.process else 0.0


def _round(case: Case, mine: Measured, size: Size, seed: int) -> None:
    cpu, seconds = _sequence(case, size.requests, stream=False)
    mine.cpu_request.append(cpu)
    mine.alone += [1000 * value for value in seconds]
    mine.cpu_stream.append(_sequence(case, max(size.requests // 3, 1), stream=True)[0])
    beyond, errors = run(latencies(case.target, IN_FLIGHT, size.requests, seed))
    if not beyond:
        raise RuntimeError(f"{IN_FLIGHT} at once: {dict(errors)}")
    mine.errors += errors
    mine.at_once += [1000 * value for value in beyond]


def _sequence(case: Case, n: int, stream: bool) -> tuple[float, Sequence[float]]:
    """CPU milliseconds per request of `n`, one after the other, and the seconds that each took."""
    request = case.target.request(case.target.body(stream=stream))
    client.ask(case.target.port, request, WARM_UP)
    before = _cpu(case)
    seconds = client.ask(case.target.port, request, n)
    return 1000 * (_cpu(case) - before) / n, seconds


def _cpu(case: Case) -> float:
    return case.process.cpu_s() if case.process else 0.0


def _streams(case: Case, mine: Measured, seconds: float) -> None:
    """More and more streams at once, until they are not held any more; a step that fails gets a second chance."""
    _steps(case, mine, seconds)
    mine.rss_after = _rss(case)


def _steps(case: Case, mine: Measured, seconds: float) -> None:
    for streams in STEPS if seconds else ():
        for _ in range(2):
            before = _cpu(case)
            held = run(hold(case.target, streams, seconds, BEAT_S, life_s=(seconds, seconds)))
            mine.held.append(held)
            mine.chunk_us.append(1e6 * (_cpu(case) - before) / max(1, held.chunks))
            if largest([held], BEAT_S):
                break
        else:
            return

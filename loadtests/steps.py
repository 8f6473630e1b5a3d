"""More and more users until it stops paying: the knee of the curve of load against waiting and right answers.

A step is good if the 95th percentile of the time to the first token is within the limit, and goodput (right answers
per second) has not fallen below the best so far by more than a tenth. The knee is the last good step; the run ends at
the first one that is not. The first quarter of each step does not count: queues fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loadtests.report import Sample, quantile

SETTLE = 0.25
FALL = 0.9
# Without a limit: so many times that of the first step.
SLOWER = 4.0


@dataclass(frozen=True, slots=True)
class Step:
    """What `users` at once got. Seconds; `ttft_p95_s` is None where nothing was streamed."""

    users: int
    requests: int
    failed: int
    requests_per_s: float
    goodput: float
    thinking_per_s: float
    ttft_p50_s: float | None
    ttft_p95_s: float | None
    token_gap_p95_s: float | None
    latency_p95_s: float | None


def step(users: int, samples: Sequence[Sample], begin: float, end: float) -> Step:
    """The step that lasted from `begin` to `end`, in seconds since the load began."""
    counted = begin + SETTLE * (end - begin)
    inside = [sample for sample in samples if counted <= sample.at < end and not sample.left]
    whole = [sample for sample in inside if sample.error is None]
    seconds = max(end - counted, 1e-9)
    first = [sample.first_token_s for sample in whole if sample.first_token_s is not None]
    return Step(
        users=users,
        requests=len(inside),
        failed=len(inside) - len(whole),
        requests_per_s=len(whole) / seconds,
        goodput=sum(sample.score for sample in whole) / seconds,
        thinking_per_s=sum(sample.thinking_tokens for sample in whole) / seconds,
        ttft_p50_s=quantile(first, 0.5),
        ttft_p95_s=quantile(first, 0.95),
        token_gap_p95_s=quantile([s.token_gap_s for s in whole if s.token_gap_s is not None], 0.95),
        latency_p95_s=quantile([sample.seconds for sample in whole], 0.95),
    )


def why_not(steps: Sequence[Step], limit_s: float | None) -> str | None:
    """Why the last step is no good; None if it is."""
    last, waited = steps[-1], _waits(steps[-1])
    if waited is None:
        return "no answer was whole"
    limit = limit_s if limit_s is not None else SLOWER * (_waits(steps[0]) or 0.0)
    if waited > limit:
        return f"p95 of the first token is {1000 * waited:.0f} ms, over {1000 * limit:.0f} ms"
    best = max(step.goodput for step in steps)
    if last.goodput < FALL * best:
        return f"goodput fell to {last.goodput:.1f} from {best:.1f} right answers per second"
    return None


def knee(steps: Sequence[Step], limit_s: float | None) -> Step | None:
    """The last good step before the first that is not; None if the first is none."""
    good = None
    for index in range(len(steps)):
        if why_not(steps[: index + 1], limit_s) is not None:
            break
        good = steps[index]
    return good


def table(steps: Sequence[Step], limit_s: float | None) -> str:
    """For people."""
    head = f"{'users':>6}{'requests/s':>12}{'right/s':>9}{'thinking/s':>12}{'TTFT p50':>10}{'p95 ms':>8}"
    head += f"{'token p95':>11}{'whole p95':>11}{'failed':>8}"
    lines = [
        f"{s.users:>6}{s.requests_per_s:>12.1f}{s.goodput:>9.1f}{s.thinking_per_s:>12.0f}{_ms(s.ttft_p50_s):>10}"
        f"{_ms(s.ttft_p95_s):>8}{_ms(s.token_gap_p95_s):>11}{_ms(s.latency_p95_s):>11}{s.failed:>8}"
        for s in steps
    ]
    found = knee(steps, limit_s)
    why = why_not(steps, limit_s) if steps else "no step was made"
    verdict = "no knee: already the first step is too much" if found is None else f"the knee: {found.users} users"
    return "\n".join([head, "-" * len(head), *lines, "", f"{verdict} ({why or 'no step went beyond it'})"])


def series(steps: Sequence[Step]) -> dict[str, list[tuple[float, float]]]:
    """For a picture, over users."""
    return {
        "right answers/s": [(step.users, step.goodput) for step in steps],
        "TTFT p95, ms": [(step.users, 1000 * (step.ttft_p95_s or 0.0)) for step in steps],
        "whole p95, ms": [(step.users, 1000 * (step.latency_p95_s or 0.0)) for step in steps],
    }


def _waits(step: Step) -> float | None:
    """The first token's p95; of the whole answer where nothing was streamed."""
    return step.ttft_p95_s if step.ttft_p95_s is not None else step.latency_p95_s


def _ms(seconds: float | None) -> Any:
    return "-" if seconds is None else f"{1000 * seconds:.0f}"

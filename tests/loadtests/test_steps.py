"""Where the knee is, and what is flat: arithmetic that can be wrong quietly."""

from __future__ import annotations

import pytest

from loadtests.report import Sample
from loadtests.steps import Step, knee, step, table, why_not
from loadtests.watch import growth


def at(seconds: float, first: float | None = 0.1, score: float = 1.0, error: str | None = None) -> Sample:
    return Sample("r", "auto", "low", 0.5, error, score, 10, 20, first_token_s=first, at=seconds)


def made(users: int, goodput: float, waits: float | None) -> Step:
    return Step(users, 10, 0, goodput, goodput, 1.0, waits, waits, None, waits)


def test_a_step_counts_its_own_time_without_its_first_quarter() -> None:
    samples = [at(10.5), at(11.0), at(12.0, score=0.0), at(13.0, error="502: gone"), at(13.9), at(14.0)]
    found = step(8, samples, begin=10.0, end=14.0)
    assert (found.users, found.requests, found.failed) == (8, 4, 1)
    assert (found.requests_per_s, found.goodput, found.thinking_per_s) == (1.0, 2 / 3, 10.0)
    assert found.ttft_p95_s == 0.1


def test_the_knee_is_the_last_step_before_waiting_or_goodput_gives_way() -> None:
    waits = [made(1, 10, 0.1), made(2, 19, 0.2), made(4, 30, 0.39), made(8, 31, 0.5)]
    assert knee(waits, None) == waits[2]
    assert knee(waits, 0.3) == waits[1]
    assert knee(waits, 9.0) == waits[3]
    falls = [made(1, 10, 0.1), made(2, 20, 0.1), made(4, 17, 0.1)]
    assert knee(falls, None) == falls[1]
    assert "goodput fell to 17.0 from 20.0" in (why_not(falls, None) or "")
    assert knee([made(1, 10, 0.1)], 0.05) is None
    assert "no knee" in table([made(1, 10, 0.1)], 0.05)


def test_a_step_without_answers_is_no_good() -> None:
    steps = [made(1, 10, 0.1), made(2, 0, None)]
    assert knee(steps, None) == steps[0]
    assert "the knee: 1 users (no answer was whole)" in table(steps, None)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([100.0] * 50, 0.0),
        # What fills up at the beginning is no growth.
        ([50.0] * 10 + [100.0] * 40, 0.0),
        ([100.0] * 42 + [110.0] * 8, 0.1),
        ([100.0, 200.0], 0.0),
        ([], 0.0),
    ],
)
def test_growth_is_that_of_the_end_over_the_settled_beginning(values: list[float], expected: float) -> None:
    assert growth(values) == pytest.approx(expected)

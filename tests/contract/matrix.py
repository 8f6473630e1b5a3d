"""The matrix: every way to ask for an effort, in each dialect, of a merged model and a split pair, whole or streamed.

A case is asked through the official SDK of its dialect, and what came of it is read into one form for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.config.defaults import LEVELS
from tests.contract.prompts import long_thought

MODELS = ("tiny", "tiny-split")
# Room for thought and answer; the gateway keeps so much of it for the answer.
LIMIT, ALLOWANCE = 500, 64
PROMPT = str(long_thought()[-1]["content"])
# So many are asked at a time, which an engine takes as one batch: one by one, each token is a step of its own.
AT_ONCE = 16
T = TypeVar("T")


@dataclass(frozen=True)
class Form:
    """One way to say how hard to think. `budget`: what is to be applied in tokens; None: unlimited.

    `decides`: it is left to the gateway, which may give anything up to the budget.
    """

    name: str
    budget: int | None
    fields: Mapping[str, Any] = field(default_factory=dict)
    decides: bool = False


def together(cases: Sequence[T], one: Callable[[T], None]) -> None:
    """Try every case, many at a time. ExceptionGroup: some failed, each of which is named."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        trials = [pool.submit(one, case) for case in cases]
    _raise(cases, [trial.exception() for trial in trials])


async def together_async(cases: Sequence[T], one: Callable[[T], Awaitable[None]]) -> None:
    _raise(cases, await asyncio.gather(*(one(case) for case in cases), return_exceptions=True))


def _raise(cases: Sequence[T], results: Sequence[BaseException | None]) -> None:
    errors = []
    for case, error in zip(cases, results, strict=True):
        if isinstance(error, Exception):
            error.add_note(f"the case: {case}")
            errors.append(error)
        elif error is not None:
            raise error
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(cases)} cases", errors)


def levels(said: Any, *left_out: str) -> list[Form]:
    """One form for each named level; `said` makes a request's fields of its name."""
    return [
        Form(level, 0 if level == "none" else _tokens(level), said(level))
        for level in ("none", *LEVELS)
        if level not in left_out
    ]


def _tokens(level: str) -> int | None:
    budget = LEVELS[level]
    return budget if isinstance(budget, int) else None


@dataclass(frozen=True)
class Told:
    """What an answer was, in whatever dialect and form it came. `used`: thinking tokens; None: nothing was said."""

    text: str
    thought: str
    ended: str | None
    prompt: int
    completion: int
    used: int | None
    headers: Mapping[str, str]


def check(told: Told, form: Form, limited: bool) -> None:
    """It is a real answer, after the effort that was asked for. `limited`: with LIMIT tokens in all."""
    assert told.text.strip(), "an answer was given"
    assert told.ended in ("stop", "completed", "end_turn")
    assert told.headers["x-thinkgate-arm"] in ("merged", "split")
    assert told.headers.get("x-request-id") or told.headers["request-id"]
    assert told.prompt > 0
    used = told.used or 0
    assert told.completion > used
    assert bool(told.thought.strip()) == (used > 1), "thoughts that were paid for are seen, and no others"
    level, budget = told.headers["x-thinkgate-effort"], told.headers["x-thinkgate-budget"]
    if budget != "unlimited":
        assert used <= int(budget)
    if form.decides:
        assert told.headers["x-thinkgate-reason"] in ("router", "probe", "fallback", "policy")
        assert form.budget is None or int(budget) <= form.budget
        return
    assert told.headers["x-thinkgate-reason"] == "client"
    expected = form.budget if form.budget is not None else (LIMIT - ALLOWANCE if limited else None)
    assert budget == ("unlimited" if expected is None else str(expected))
    assert (level == "none") == (expected == 0)
    assert (used > 0) == (expected != 0), "it thinks if, and only if, it was told to"

"""One test of many trivial cases: all of them run, and each that fails is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any


def every(cases: Sequence[tuple[str, ...]]) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Of a check of one case, the test of them all: a test for each would cost more than the check."""

    def of_all(check: Callable[..., None]) -> Callable[[], None]:
        def test() -> None:
            faults: list[Exception] = []
            for case in cases:
                try:
                    check(*case)
                except Exception as error:
                    error.add_note("in the case " + "@".join(case))
                    faults.append(error)
            if faults:
                raise ExceptionGroup(f"{len(faults)} of {len(cases)} cases fail", faults)

        named: Any = wraps(check)(test)
        # Or pytest would ask for the case as for a fixture.
        del named.__wrapped__
        return test

    return of_all

"""Whether traffic has changed since a version was made: what comes in, how good answers are, and how right forecasts.

Each sign is a series of numbers in [0, 1], watched by adaptive windowing: two parts of a series that differ by more
than chance allows, at a given confidence, are a change ("Learning from Time-Changing Data with Adaptive Windowing",
Bifet, Gavaldà, 2007, SDM, doi:10.1137/1.9781611972771.42).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# The probability of a false report for each look at a series; of shorter series nothing is said.
DELTA, LEAST = 0.002, 100


class Watched(NamedTuple):
    """One request: how novel it was, how likely its answer was forecast to be right, and how good it was; None:
    unknown.
    """

    novelty: float
    forecast: float | None
    right: float | None


def drift(requests: Sequence[Watched]) -> dict[str, str]:
    """By sign, what has changed; nothing where nothing did. `requests` in the order of time."""
    series = {
        "inputs": [one.novelty for one in requests],
        "outcomes": [one.right for one in requests if one.right is not None],
        # 0.5: as good as forecast.
        "calibration": [
            (1 + one.right - one.forecast) / 2 for one in requests if one.right is not None and one.forecast is not None
        ],
    }
    found = {sign: change for sign, values in series.items() if (change := _change(values)) is not None}
    words = {
        "inputs": "the share of unknown terms in requests was {:.3f} and is {:.3f}",
        "outcomes": "the mean outcome was {:.3f} and is {:.3f}",
        "calibration": "answers, against their forecasts, were at {:.3f} and are at {:.3f} (0.5: as forecast)",
    }
    return {sign: words[sign].format(*change) for sign, change in found.items()}


def _change(values: Sequence[float]) -> tuple[float, float] | None:
    """The means before and after the latest change; None: there was none."""
    if len(values) < LEAST:
        return None
    # Only this needs the library, which commands have and a gateway need not have.
    from river.drift import ADWIN

    window, at = ADWIN(delta=DELTA), None
    for place, value in enumerate(values):
        window.update(value)
        if window.drift_detected:
            at = place
    if at is None:
        return None
    after = int(window.width)
    before = values[: len(values) - after]
    if not before:
        return None
    return sum(before) / len(before), float(window.estimation)

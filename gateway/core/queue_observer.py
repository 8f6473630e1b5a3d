"""Who hears of the requests that wait for a deployment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueObserver:
    """Is told how many wait, how many seconds one has waited, and of each that was refused."""

    queued: Callable[[float], object] = lambda _: None
    waited: Callable[[float], object] = lambda _: None
    refused: Callable[[], object] = lambda: None

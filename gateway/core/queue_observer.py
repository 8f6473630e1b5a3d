"""Observer of a deployment's queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueObserver:
    """Observes the queue's length, each request's wait in seconds, and each refusal."""

    queued: Callable[[float], object] = lambda _: None
    waited: Callable[[float], object] = lambda _: None
    refused: Callable[[], object] = lambda: None

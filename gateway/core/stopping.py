"""Whether this process is shutting down."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Stopping:
    """`begun` is set by the signal: `/ready` fails from then on, while running answers continue."""

    begun: bool = False

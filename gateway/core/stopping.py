"""Whether this process is shutting down."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Stopping:
    """`begun` from the signal on: `/ready` fails at once, while running answers continue."""

    begun: bool = False

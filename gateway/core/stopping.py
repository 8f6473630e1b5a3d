"""Whether this process has been told to stop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Stopping:
    """`begun` from the signal on: balancers are told at once, by `/ready`, while running answers go on."""

    begun: bool = False

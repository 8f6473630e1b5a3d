"""How long tests wait for what others do in their own time: for ever, as far as a busy machine is concerned."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# A cap for what never happens. What happens is not waited for any longer than it takes.
PATIENCE_S = 600


def until(condition: Callable[[], object]) -> None:
    """Returns once this is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        threading.Event().wait(0.02)

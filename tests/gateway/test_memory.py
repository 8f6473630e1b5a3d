"""What the garbage collector looks at in a gateway that runs."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: what is hidden is hidden for the whole process.
SCRIPT = """
import gc, weakref
from gateway.core.memory import hide_loaded

class Cycle:
    def __init__(self):
        self.own = self

loaded = Cycle()
hide_loaded()
assert gc.get_freeze_count() > 1_000
assert not any(one is loaded for one in gc.get_objects())
gone = weakref.ref(loaded)
del loaded
gc.collect()
assert gone() is not None, "it was hidden"
hide_loaded()
assert gone() is None, "what was hidden and is garbage by now is collected"
"""


def test_what_is_loaded_is_hidden_from_the_collector_until_it_is_garbage() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

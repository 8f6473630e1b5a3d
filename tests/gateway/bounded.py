"""How property tests run here: the same examples every time, few enough for every change to be tested."""

from __future__ import annotations

from hypothesis import settings

QUICK = settings(max_examples=200, derandomize=True, deadline=None, database=None)
# Where an example is more than a call: a request, a file, a database.
FEW = settings(QUICK, max_examples=100)

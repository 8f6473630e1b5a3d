"""How property tests run here: the same examples every time, few enough for every change to be tested."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

QUICK = settings(max_examples=200, derandomize=True, deadline=None, database=None)
# Through the front door: each example is a request, and all of them share one gateway.
FRONT_DOOR = settings(QUICK, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])

"""A plan and the call it was made from."""

from __future__ import annotations

from typing import NamedTuple

from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.plan import Plan


class Planned(NamedTuple):
    """`call` is the client's, bounded by its key's limits; `decision` is None for passed-through requests.

    `lowered`: a quota made this effort lower than the policy would have it.
    """

    call: Call
    plan: Plan
    decision: Decision | None = None
    lowered: bool = False

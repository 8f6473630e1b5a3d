"""The effort at the other end of the ladder from the one that answered a request."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.arm import Arm
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort, size

# An effort of at most this part of the strongest one's budget is a low one.
LOW = 0.25


def other_end(arm: Arm, done: Effort, allows: Callable[[Effort], bool], most: Effort | None = None) -> Effort | None:
    """None for what thought much, and the strongest budget for what thought little or not at all.

    Unlimited thinking only where the arm has no budget to offer. `allows` are the operator's bounds and `most` the most
    that the client and its key allow. None: there is no other effort that is allowed.
    """
    within = UNLIMITED if most is None else most
    allowed = [one for one in arm.efforts if allows(one) and size(one) <= size(within)]
    thinking = [one for one in allowed if one.think]
    strongest = max((one for one in thinking if one.budget is not None), key=size, default=None)
    if strongest is None:
        strongest = next(iter(thinking), None)
    none = NO_THINKING if NO_THINKING in allowed else None
    if strongest is None or (done.think and size(done) > LOW * size(strongest)):
        return none if done.think else None
    return strongest if size(strongest) > size(done) else none

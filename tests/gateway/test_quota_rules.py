"""Whatever a key's requests do and in whatever order: its thinking quota holds, and it is never locked out for good."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.auth.key import Key
from gateway.auth.key_principal import KeyPrincipal
from gateway.auth.limits import Limits
from gateway.auth.metering import Metering
from gateway.auth.usage_store import UsageStore
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.efforts import LEVELS, NO_THINKING, UNLIMITED, Effort, from_budget, size
from gateway.core.errors import QuotaExceeded
from gateway.core.plan import Plan
from gateway.core.planned import Planned
from gateway.core.serving_limits import Pricing
from gateway.core.usage import Usage
from gateway.families.table import family
from tests.gateway.bounded import FEW
from tests.gateway.keyed import Clock

LIMIT, LONGEST = 1000, 400
DEPLOYMENT = Deployment("d", ("http://d/v1",), "m", family("qwen3"), pricing=Pricing(output_price=1000.0))
ARM = Arm.of("a", DEPLOYMENT, DEPLOYMENT, (NO_THINKING, from_budget(300), UNLIMITED))
KEY = Key(
    1, "k", "k", 0.0, None, None, Limits(thinking_per_hour=LIMIT, thinking_per_day=10 * LIMIT, dollars_per_day=1e9)
)

# A request with an effort (None: decide for me), the end of one that runs (which, and how much of its budget it used;
# None: nobody knows), or a step of the clock in seconds.
EFFORT = st.none() | st.integers(0, 1200) | st.just("unlimited")
ASK = st.tuples(st.just("ask"), EFFORT)
END = st.tuples(st.just("end"), st.integers(0, 30), st.none() | st.floats(0, 1))
FORWARD = st.tuples(st.just("step"), st.floats(0, 2000))
ANYWHERE = st.tuples(st.just("step"), st.floats(-1e9, 1e9))


def play(folder: Path, steps: list[tuple], steady: bool) -> None:  # type: ignore[type-arg]
    counters, clock = UsageStore(folder / "usage"), Clock()
    running: list[tuple[KeyPrincipal, Plan]] = []
    for kind, *what in steps:
        if kind == "step":
            clock.now += what[0]
        elif kind == "ask":
            began = begin(counters, clock, what[0])
            running += [began] if began else []
        elif running:
            holder, plan = running.pop(what[0] % len(running))
            budget = plan.effort.budget or 0
            usage = Usage() if what[1] is None else Usage(5, int(budget * what[1]) + 3, int(budget * what[1]))
            holder.settle(plan, usage)
        row = counters.read(KEY.slot, clock.now)
        assert min(row.hour_used, row.day_used, row.tokens, *row.held) >= 0
        if steady:
            assert row.hour_used + row.expected_thinking <= LIMIT and row.day_used + row.expected_thinking <= 10 * LIMIT
    # Tomorrow all of it is there again, whatever has become of the requests: here their process dies.
    clock.now += 2 * 86_400
    counters.close()
    counters = UsageStore(folder / "usage")
    assert not any(counters.read(KEY.slot, clock.now).held)
    assert begin(counters, clock, LIMIT) is not None
    counters.close()


def begin(counters: UsageStore, clock: Clock, asked: int | str | None) -> tuple[KeyPrincipal, Plan] | None:
    """Bounded, decided as a client's own policy would, and taken; None if that was refused."""
    holder = KeyPrincipal(KEY, Metering(counters, clock, LONGEST))
    requested = UNLIMITED if asked == "unlimited" else None if asked is None else from_budget(int(asked))

    def choose(within: Effort | None) -> Planned:
        call = holder.bound(Call("r", "chat", "m", {}, requested=requested), LEVELS, ARM)
        effort = min(filter(None, (requested or UNLIMITED, call.most, within)), key=size)
        return Planned(call, Plan(DEPLOYMENT, effort, {}, effort=effort, enforcement="native"))

    try:
        return holder, asyncio.run(holder.reserve(choose)).plan
    except QuotaExceeded:
        holder.leave()
        return None


@given(st.lists(ASK | END | FORWARD, max_size=60))
@FEW
def test_with_a_steady_clock_the_quota_holds(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    with TemporaryDirectory() as folder:
        play(Path(folder), steps, steady=True)


@example([("ask", 300), ("step", 3600.0), ("ask", 300), ("step", -3600.0), ("ask", 0), ("end", 0, 0.0)])
@given(st.lists(ASK | END | ANYWHERE, max_size=60))
@FEW
def test_with_any_clock_nobody_is_locked_out(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    with TemporaryDirectory() as folder:
        play(Path(folder), steps, steady=False)

"""Requests of one key in a team, against its quotas alone: nothing is sent anywhere."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from gateway.auth.key import Key
from gateway.auth.key_principal import KeyPrincipal
from gateway.auth.limits import Budget, Limits
from gateway.auth.metering import Metering
from gateway.auth.team import Team
from gateway.auth.usage_store import UsageStore
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.efforts import LEVELS, NO_THINKING, UNLIMITED, Effort, from_budget, size
from gateway.core.errors import QuotaExceeded
from gateway.core.plan import Plan
from gateway.core.planned import Planned
from gateway.core.usage import Usage
from gateway.families.table import family

LIMIT, NOON = 1000, 20_000 * 86_400.0
DEPLOYMENT = Deployment("d", ("http://d/v1",), "m", family("qwen3"))
ARM = Arm.of("a", DEPLOYMENT, DEPLOYMENT, (NO_THINKING, from_budget(300), UNLIMITED))
Run = Callable[[Coroutine[Any, Any, Planned]], Planned]


def principal(metering: Metering, share: float) -> KeyPrincipal:
    team = Team(2, "t", 0.0, Budget(thinking_per_day=2 * LIMIT, overspend=share))
    return KeyPrincipal(
        Key(1, "k", "k", 0.0, None, None, Limits(thinking_per_hour=LIMIT, overspend=share), (), team), metering
    )


def begin(
    run: Run, metering: Metering, share: float, asked: int | None, choices: int = 1
) -> tuple[KeyPrincipal, Planned] | None:
    """None: it was refused. `asked` is a budget; -1: unlimited; None: left to the gateway."""
    sender, requested = principal(metering, share), None if asked is None else from_budget(asked)

    def choose(within: Effort | None) -> Planned:
        call = sender.bound(Call("r", "chat", "m", {}, requested=requested, choices=choices), LEVELS, ARM)
        effort = min(filter(None, (requested or UNLIMITED, call.most, within)), key=size)
        return Planned(call, Plan(DEPLOYMENT, effort, {}, effort=effort, enforcement="native"))

    try:
        return sender, run(sender.reserve(choose))
    except QuotaExceeded:
        sender.leave()
        return None


def end(sender: KeyPrincipal, planned: Planned, share: float) -> None:
    thought = int((planned.plan.effort.budget or 0) * share) * planned.call.choices
    sender.settle(planned.plan, Usage(5, thought + 3, thought), complete=True)


def live(path: Path, seed: int) -> None:
    """A process whose requests learn to expect 4 tokens, and then think as long as they may."""
    with asyncio.Runner() as runner:
        spend(runner.run, Metering(UsageStore(path), lambda: NOON, 400), random.Random(seed))


def spend(run: Run, metering: Metering, draw: random.Random) -> None:
    running: list[tuple[KeyPrincipal, Planned]] = []
    for number in range(400):
        began = begin(run, metering, 0.1, draw.choice([-1, None, 32, 200, 300]))
        running += [began] if began else []
        if running and draw.random() < 0.6:
            end(*running.pop(draw.randrange(len(running))), 0.02 if number < 60 else 1.0)
        row = metering.counters.read(1, NOON)
        assert row.hour_used <= LIMIT * 1.1
    for each in running:
        end(*each, 1.0)
    metering.counters.close()

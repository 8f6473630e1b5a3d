"""The locustfile of the step-load: every scenario, with a shape that raises the number of users."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from locust import LoadTestShape, events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from loadtests.locustfile import *  # noqa: F403  (the users, which locust finds here, and the start of the load)
from loadtests.steps import Step, knee, series, step, table, why_not
from loadtests.users import Asker


class Stairs(LoadTestShape):
    """A step after the other, until one is no good."""

    def __init__(self) -> None:
        super().__init__()
        self._done: list[Step] = []
        self._begun = 0.0

    def tick(self) -> tuple[int, float] | None:
        """Users wanted now, and how many to start per second; None ends the run."""
        options = self.runner.environment.parsed_options
        users = [int(word) for word in options.steps.split(",")]
        at = Asker.load.at()
        if at - self._begun >= options.step_seconds:
            self._done.append(step(users[len(self._done)], Asker.load.samples, self._begun, at))
            self._begun = at
        if len(self._done) == len(users) or (self._done and why_not(self._done, options.ttft_limit) is not None):
            return None
        wanted = users[len(self._done)]
        return wanted, float(wanted)

    def report(self, **_: Any) -> None:
        """The table, and the steps as JSON and as a picture where files were named."""
        load, limit = Asker.load, self.runner.environment.parsed_options.ttft_limit
        print(f"\n{table(self._done, limit)}\n", flush=True)
        found = knee(self._done, limit)
        knee_users = None if found is None else found.users
        load.write({**load.figures(), "steps": [asdict(one) for one in self._done], "knee_users": knee_users})
        if load.plot is not None and self._done:
            from loadtests.plots import lines

            lines(load.plot, "Step-load", "users", series(self._done))


@events.init_command_line_parser.add_listener
def _options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--steps", default="4,8,16,32", help="users, step by step")
    parser.add_argument("--step-seconds", type=float, default=10.0, help="how long each lasts")
    parser.add_argument("--ttft-limit", type=float, default=None, help="seconds")


@events.init.add_listener
def _report_steps(environment: Environment, **_: Any) -> None:
    stairs = environment.shape_class
    assert isinstance(stairs, Stairs)
    # Added last, so that its file is the one that stays.
    environment.events.quit.add_listener(stairs.report)

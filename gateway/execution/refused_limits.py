"""Limits that a deployment refused because it cannot generate so much, where nobody had said how much it can."""

from __future__ import annotations

from gateway.core.backend_errors import BackendRefused
from gateway.core.call import Call
from gateway.core.plan import Plan

BAD_REQUEST = 400
# How engines and APIs name what is too much, in the field or in words.
_NAMES = (
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_model_len",
    "context length",
    "context window",
)


class RefusedLimits:
    """The smallest limit that each deployment has refused; larger ones are not tried again."""

    def __init__(self) -> None:
        self._least: dict[str, int] = {}

    def is_refused(self, plan: Plan, call: Call) -> bool:
        """Whether the plan has a limit above the client's that is known to be too high."""
        least = self._least.get(plan.deployment.name)
        return least is not None and plan.limit is not None and plan.limit >= least and is_raised(plan, call)

    def note(self, error: BackendRefused, plan: Plan, call: Call) -> bool:
        """Whether the error is about a limit that the gateway has raised; if so it is remembered."""
        if error.status != BAD_REQUEST or plan.limit is None or not is_raised(plan, call):
            return False
        said = f"{error.param} {error.message}".lower()
        if not any(name in said for name in _NAMES):
            return False
        name = plan.deployment.name
        self._least[name] = min(plan.limit, self._least.get(name, plan.limit))
        return True


def is_raised(plan: Plan, call: Call) -> bool:
    return plan.limit is not None and call.limit is not None and plan.limit > call.limit

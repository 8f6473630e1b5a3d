"""Who can keep a thinking budget at each deployment: what its family says, until discovery has seen for itself."""

from __future__ import annotations

from gateway.types import Call, Deployment, Enforcement

# What the gateway cannot join out of two answers, as its first one may end in the middle of any of it.
_ONE_PIECE = ("tools", "functions", "logprobs")


class Abilities:
    """Read with every request, written by discovery."""

    def __init__(self) -> None:
        self._found: dict[str, Enforcement] = {}

    def enforcement(self, deployment: Deployment, call: Call) -> Enforcement:
        """How a budget for this call is kept, if it is given one."""
        found = self._found.get(deployment.name)
        if found is None:
            return "native" if deployment.family.budget_field is not None else "none"
        if found == "two-phase" and (call.choices > 1 or any(map(call.body.get, _ONE_PIECE))):
            return "cut"
        return found

    def learn(self, deployment: Deployment, found: Enforcement) -> None:
        self._found[deployment.name] = found

"""How each deployment's thinking budgets are enforced: by its family row, until discovery has verified it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import NamedTuple

from gateway.backends.evidence import Evidence, client_of
from gateway.backends.level_usage.usage import LevelUsage
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.plan import Enforcement

# Features that a two-phase answer cannot have: its second part is plain text.
_ONE_PIECE = ("functions", "logprobs", "continue_final_message")
# This many answers in a row that exceed their budgets by more than this many tokens trigger verification. Engines that
# enforce budgets may end a little late, especially with speculative decoding.
VIOLATIONS, LATE = 3, 8


class Marks(NamedTuple):
    """Token ids that open and close reasoning, and those written before and after the latter when the gateway closes
    it.
    """

    start: tuple[int, ...]
    end: tuple[int, ...]
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()


class Capability(NamedTuple):
    """A deployment's verified enforcement. `marks` are set if it reports the token ids of its answers."""

    enforcement: Enforcement
    marks: Marks | None = None


class Capabilities:
    """Read by each request, written by discovery. `on_violation` is called with a deployment that keeps exceeding
    budgets; `levels` says what efforts really take.
    """

    def __init__(self) -> None:
        self._found: dict[str, Capability] = {}
        self._exceeded: dict[str, int] = {}
        self._without_logprobs: dict[str, Evidence] = {}
        self.on_violation: Callable[[str], None] = lambda deployment: None
        self.clock: Callable[[], float] = time.monotonic
        self.levels = LevelUsage()

    def adopt(self, others: Capabilities, deployments: Collection[str]) -> None:
        """Start with what others have found out about these deployments."""
        self._found = {name: found for name, found in others._found.items() if name in deployments}
        self.levels.adopt(others.levels, deployments)

    def enforcement(self, deployment: Deployment, call: Call) -> Enforcement:
        """How a budget for this call would be enforced."""
        found = self._found.get(deployment.name)
        if found is None:
            return "native" if deployment.family.budget_field is not None else "none"
        if found.enforcement == "two-phase" and not _can_be_joined(call):
            return "cut"
        return found.enforcement

    def marks(self, deployment: Deployment) -> Marks | None:
        found = self._found.get(deployment.name)
        return None if found is None else found.marks

    def learn(self, deployment: str, found: Capability) -> None:
        self._found[deployment] = found
        self._exceeded.pop(deployment, None)
        self._without_logprobs.pop(deployment, None)

    def has_logprobs(self, deployment: Deployment, call: Call) -> bool:
        """Whether the deployment returns log-probabilities for such a call; assumed until one came without."""
        found = self._without_logprobs.get(deployment.name)
        return found is None or not found.holds(client_of(call))

    def note_logprobs_refused(self, deployment: Deployment, call: Call) -> None:
        """Note a refusal: this client stops requesting log-probabilities until discovery verifies the deployment again
        or some time passes; once two clients were refused, all of them stop.
        """
        self._evidence(deployment).against(client_of(call), VIOLATIONS)

    def note_logprobs(self, deployment: Deployment, call: Call, present: bool) -> None:
        """Note whether requested log-probabilities came; several misses in a row count as a refusal."""
        if not present:
            self._evidence(deployment).against(client_of(call))
        elif self._without_logprobs:
            self._without_logprobs.pop(deployment.name, None)

    def _evidence(self, deployment: Deployment) -> Evidence:
        return self._without_logprobs.setdefault(deployment.name, Evidence(self.clock))

    def answered(self, deployment: str, exceeded: int) -> None:
        """Note that an answer `exceeded` its budget by so many tokens."""
        if exceeded > LATE:
            times = self._exceeded[deployment] = self._exceeded.get(deployment, 0) + 1
            if times == VIOLATIONS:
                self.on_violation(deployment)
        elif self._exceeded:
            self._exceeded.pop(deployment, None)


def _can_be_joined(call: Call) -> bool:
    """Whether an answer can be continued as a completion: it is a single text, and its prompt has only text."""
    calls = call.body.get("tools") and call.body.get("tool_choice") != "none"
    if call.choices > 1 or calls or any(map(call.body.get, _ONE_PIECE)):
        return False
    contents = [message.get("content") for message in call.body["messages"]]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return all(isinstance(part, dict) and "text" in part for part in parts)

"""Requests probes: the client's own request without thinking, with the log-probability of each answer token.

If a probe fails or is late, the request continues without it.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.backends.capabilities import Capabilities
from gateway.core.aliases import JsonObject
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.efforts import NO_THINKING, UNLIMITED
from gateway.core.forecast import Forecast
from gateway.core.plan import Plan
from gateway.core.probe import ProbeOptions
from gateway.execution.dispatch import Dispatch
from gateway.execution.place import Place
from gateway.execution.probe.pending import CANDIDATES, PendingProbe
from gateway.families import answer_limits
from gateway.families import body as fields
from gateway.families.fields import HIDE_FIELD
from gateway.families.model_limits import ModelLimits

REQUEST_ID = "x-request-id"


class Prober:
    def __init__(self, dispatch: Dispatch, capabilities: Capabilities) -> None:
        self._dispatch = dispatch
        self._capabilities = capabilities

    def within(self, dispatch: Dispatch) -> Prober:
        """The same by another way to the deployments."""
        return Prober(dispatch, self._capabilities)

    def possible(self, call: Call, arm: Arm, terms: ModelLimits) -> bool:
        """Whether a probe is informative: a single answer with visible tokens, and room to think in the other case.

        If the client itself requests log-probabilities, but fewer candidates than a probe needs, there is no probe.
        """
        none = arm.find(NO_THINKING)
        return (
            none is not None
            and call.choices == 1
            and _leaves_room(call, arm, terms)
            and _may_ask(call.body)
            and self._capabilities.has_logprobs(none, call)
            and self._dispatch.is_open(none)
        )

    def ask(self, place: Place, call: Call, plan: Plan, options: ProbeOptions, before: Forecast) -> PendingProbe:
        """The probe, to be used in a `with`; it is not sent yet."""
        return PendingProbe(self._dispatch, self._capabilities, place, call, plan, options, before)


def _leaves_room(call: Call, arm: Arm, terms: ModelLimits) -> bool:
    """Whether there would be room to think, after a probe that does not convince."""
    limits = [answer_limits.limit_of(call, UNLIMITED, False, one, terms.answer) for one in arm.thinking]
    return any(limit is None or limit > terms.answer.allowance for limit in limits)


def second(call: Call) -> Call:
    """The call that follows a probe, with a different request id, as engines may refuse one that is still in use."""
    id = call.forwarded.get(REQUEST_ID)
    return call if id is None else replace(call, forwarded={**call.forwarded, REQUEST_ID: f"{id}-2"})


def _may_ask(body: JsonObject) -> bool:
    if body.get("include_reasoning") is False or fields.get(body, HIDE_FIELD) is True:
        return False  # engines then hide the log-probabilities too
    if body.get("logprobs"):
        return (body.get("top_logprobs") or 0) >= CANDIDATES
    return body.get("top_logprobs") is None

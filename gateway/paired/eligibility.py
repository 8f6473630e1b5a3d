"""Which requests other arms answer, too: a sample that depends on neither the arm nor what became of the request."""

from __future__ import annotations

from gateway.core.call import Call
from gateway.core.draw import uniform
from gateway.execution.recorder import Recorder


def is_sampled(salt: str, id: str, share: float) -> bool:
    """`id` is the gateway's own for the request, which clients cannot choose; `salt` is the experiment's."""
    return uniform(f"{salt}\0paired\0{id}") < share


def obstacle(recorder: Recorder, call: Call) -> str | None:
    """Why a request is not to be answered again, in a word; None: it may be.

    A backend's failure is no obstacle: errors are compared, too.
    """
    if recorder.client_gone:
        return "client_gone"  # there is no answer to compare with
    if recorder.place is None or not recorder.place.reached:
        return "refused"  # no arm has seen it
    if call.passthrough is not None:
        return "passthrough"
    if call.choices > 1:
        return "choices"
    return "tools" if _runs_tools(call) else None


def _runs_tools(call: Call) -> bool:
    """Whether the backend itself may run a tool, and so do something twice."""
    tools = call.body.get("tools")
    return any(
        type(tool) is not dict or tool.get("type", "function") not in ("function", "custom") for tool in tools or ()
    )

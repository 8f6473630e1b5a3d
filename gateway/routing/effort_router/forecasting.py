"""Asking a router for a forecast, without waiting too long and without failing when it fails."""

from __future__ import annotations

import asyncio
import logging

from gateway.core.call import Call
from gateway.core.forecast import Forecast
from gateway.core.probe import Probe
from gateway.routing.effort_router.protocol import PreparedArm

log = logging.getLogger("thinkgate")

# Above this many bytes of request a forecast leaves the event loop: other requests must not wait for it.
INLINE_BYTES = 32_768


async def ask(router: PreparedArm, call: Call, deadline_s: float) -> Forecast | None:
    """The router's forecast, or None when it fails or is late: that is no error, the policy has a default.

    Only the forecast of a long request can be late: that of a short one is made at once, in the event loop.
    """
    try:
        if call.size <= INLINE_BYTES:
            return router.forecast(call)
        async with asyncio.timeout(deadline_s):
            return await asyncio.to_thread(router.forecast, call)
    except TimeoutError:
        log.warning("router %s was late for request %s", router.version, call.request_id)
    except Exception:
        log.warning("router %s failed on request %s", router.version, call.request_id, exc_info=True)
    return None


def reconsider(router: PreparedArm, call: Call, before: Forecast, probe: Probe | None) -> Forecast:
    """The forecast after a probe; where there is none, or the router fails on it, only thinking is left of `before`."""
    if probe is None:
        return before.thinking()
    try:
        return router.update(before, probe)
    except Exception:
        log.warning("router %s failed on the probe of request %s", router.version, call.request_id, exc_info=True)
    return before.thinking()

"""The extensions that the gateway's own server adds to a request's `scope["extensions"]`. Under other ASGI servers
disconnects are noticed by watching `receive()`, and timeouts of bodies are up to the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# `{"register": f}`: call `f` with a function without arguments, which is called as soon as the client disconnects
# before its answer is complete. So no task has to wait for `http.disconnect`.
ON_HANG_UP = "thinkgate.on_hang_up"
# Present once the body has timed out; `receive()` then returns an empty chunk. Its value has no meaning.
BODY_TOO_SLOW = "thinkgate.body_too_slow"


def extensions(scope: Mapping[str, Any]) -> Mapping[str, Any]:
    """The extensions of a request; empty if the server has none."""
    return scope.get("extensions") or {}

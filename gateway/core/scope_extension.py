"""What the gateway's own server adds to `scope["extensions"]` of a request. Other ASGI servers do not have it: there,
hang-ups are noticed by watching `receive()`, and how late a body may be is up to the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# For every request: `{"register": f}`, where f takes a function of no arguments, which is called at once when the
# client leaves before its answer is complete. No task has to wait for `http.disconnect`.
ON_HANG_UP = "thinkgate.on_hang_up"
# There as soon as the body is later than allowed; `receive()` then returns an empty piece. Its value says nothing.
BODY_TOO_SLOW = "thinkgate.body_too_slow"


def extensions(scope: Mapping[str, Any]) -> Mapping[str, Any]:
    """Empty where the server has none."""
    return scope.get("extensions") or {}

"""The error for a request that tries to exceed its key's limit on thinking."""

from __future__ import annotations

from gateway.core.errors import NotAllowed

CODE = "effort_not_allowed"


def refused(param: str, why: str) -> NotAllowed:
    message = f"{param} may not be set like this by a key whose thinking is limited: {why}."
    return NotAllowed(message, param=param, code=CODE)

"""The limit on open files: each connection, to a client or a backend, needs one."""

from __future__ import annotations

import logging
import sys

log = logging.getLogger("thinkgate")
# For all that is no connection: databases, logs, routers, the port itself.
RESERVED = 128
_EACH = 2


def raise_limit(connections: int) -> None:
    """As far as this process may without asking anybody, for so many clients; a line in the log if that is too few."""
    if sys.platform == "win32":
        return
    import resource

    wanted = _EACH * connections + RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    room = connections_within(connections)
    if room < connections:
        log.warning(
            "%d open files are allowed: %d clients may be connected, not server.max_connections = %d; "
            "raise the limit (ulimit -n %d)",
            wanted,
            room,
            connections,
            _EACH * connections + RESERVED,
        )


def connections_within(most: int) -> int:
    """So many connections of clients, or as many as this process has files for."""
    if sys.platform == "win32":
        return most
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else max(min(most, (soft - RESERVED) // _EACH), 1)

"""The limit on open files: each connection, to a client or a backend, needs one."""

from __future__ import annotations

import logging
import sys

log = logging.getLogger("thinkgate")
# Files that are not connections: databases, logs, routers, listeners.
RESERVED = 128
_FILES_PER_CLIENT = 2


def raise_limit(connections: int) -> None:
    """Raise the soft limit for this number of clients, up to the hard limit; log a warning if that is too low."""
    if sys.platform == "win32":
        return
    import resource

    wanted = _FILES_PER_CLIENT * connections + RESERVED
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
            _FILES_PER_CLIENT * connections + RESERVED,
        )


def connections_within(most: int) -> int:
    """The number of client connections that the limit on open files allows, at most `most`."""
    if sys.platform == "win32":
        return most
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else max(min(most, (soft - RESERVED) // _FILES_PER_CLIENT), 1)

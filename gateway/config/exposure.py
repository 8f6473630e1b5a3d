"""Warnings about a configuration's exposure: ports reachable from other machines, files that others can read."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from gateway.config.settings import Settings
from gateway.core.private_file import open_to_others


def warnings(chosen: Settings) -> Iterator[str]:
    """One line per warning."""
    server, admin = chosen.server, chosen.admin
    if not chosen.access.required and not is_loopback(server.host):
        yield (
            f"anyone who reaches {server.host or 'any address'} port {server.port} can use every model, because no key "
            'is required: set [access] required = true, or listen on "127.0.0.1"'
        )
    if admin is not None and not is_loopback(admin.host):
        yield (
            f"the operator port listens on {admin.host} without TLS: the operator key and new secrets can be read in "
            "transit unless a proxy in front of it encrypts"
        )
    for path in written(chosen):
        line = open_to_others(path)
        if line is not None:
            yield line


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host. Names other than `localhost` count as reachable."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def written(chosen: Settings) -> Iterator[Path]:
    """The files and folders that a gateway writes, whether they exist or not."""
    databases = [chosen.responses_path, *([] if chosen.records.has_url else [chosen.records.path])]
    if chosen.access.required:
        databases.append(chosen.access.path)
        yield chosen.access.usage_path
    for database in databases:
        yield from (Path(f"{database}{end}") for end in ("", "-wal", "-shm"))
    yield chosen.records.spool
    yield chosen.own_secret_path

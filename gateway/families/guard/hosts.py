"""Whether the host of a URL is on the public internet, judged by its spelling.

Nothing is resolved: the backend would resolve the name again, and could get another address. A public name that points
to a private address is therefore not detected; `hosts` lists those to trust.
"""

from __future__ import annotations

import ipaddress
import re

# Spellings that every parser reads alike: no escapes, no other alphabet's dots and digits.
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
# `0x7f.1` and `017700000001` are addresses to the C library.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# 6to4 and Teredo hold an IPv4 address that traffic goes to.
_TUNNELS = (ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/32"))
# Names that are reserved for, or used on, networks of one's own (RFC 6761, 6762, 8375, 9476; ICANN's name collisions),
# and public zones whose names resolve to any address that is written into them.
_PRIVATE_ZONES = frozenset(
    {
        *("localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan", "alt", "test"),
        *("invalid", "onion", "svc", "consul", "docker", "home.arpa", "in-addr.arpa", "ip6.arpa", "arpa"),
        *("nip.io", "sslip.io", "xip.io", "localtest.me", "lvh.me", "vcap.me", "lacolhost.com", "traefik.me"),
        *("1u.ms", "rbndr.us", "localho.st", "local.gd"),
    }
)
# Cloud metadata hosts, which serve secrets.
_METADATA = frozenset({"metadata", "instance-data", "metadata-server"})


def canonical(host: str) -> str | None:
    """The host in lower case, without a trailing dot; None if parsers could disagree about it.

    An IPv6 address is given in brackets and returned without.
    """
    host = host.lower()
    if host.startswith("["):
        address = _address(host[1:-1]) if host.endswith("]") and "%" not in host else None
        return str(address) if isinstance(address, ipaddress.IPv6Address) else None
    host = host.removesuffix(".")
    if len(host) > 253 or not _NAME.fullmatch(host):
        return None
    if _NUMBER.fullmatch(host.rpartition(".")[2]) and _address(host) is None:
        return None
    return host


def is_public(host: str) -> bool:
    """Whether a canonical host is on the public internet."""
    address = _address(host)
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and not address.is_reserved
    if isinstance(address, ipaddress.IPv6Address):
        return address in _GLOBAL_UNICAST and address.is_global and not any(address in tunnel for tunnel in _TUNNELS)
    labels = host.split(".")
    if len(labels) == 1 or labels[0] in _METADATA:
        return False
    return not any(".".join(labels[start:]) in _PRIVATE_ZONES for start in range(len(labels)))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None

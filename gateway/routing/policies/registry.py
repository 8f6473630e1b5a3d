"""The policies by the names that they have in the configuration."""

from __future__ import annotations

from gateway.core.kind import kind_of
from gateway.routing.policies.client import ClientSettings
from gateway.routing.policies.dial import DialSettings
from gateway.routing.policies.fixed import FixedSettings
from gateway.routing.policies.protocol import PolicySettings
from gateway.routing.policies.risk_contract import ContractSettings

POLICIES: dict[str, type[PolicySettings]] = {
    "fixed": FixedSettings,
    "client": ClientSettings,
    "dial": DialSettings,
    "contract": ContractSettings,
}


def register(settings: type[PolicySettings]) -> None:
    """Add a policy, known from now on by the `kind` of its settings. Call it before a configuration is read.

    ValueError: another policy has that kind.
    """
    kind = kind_of(settings)
    if POLICIES.setdefault(kind, settings) is not settings:
        raise ValueError(f"a policy {kind!r} is registered already")

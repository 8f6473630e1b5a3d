"""Builds the authenticator, key management, and the seal for reasoning."""

from __future__ import annotations

from collections.abc import Callable

from gateway.auth.authenticator import Authenticator, KeyAuthenticator, OpenAuthenticator
from gateway.auth.keys import Keys
from gateway.auth.limits import Limits
from gateway.auth.metering import Metering
from gateway.auth.recent_tokens import RecentTokens
from gateway.auth.seal import Seal
from gateway.auth.seal_secret import stored_secret
from gateway.auth.usage_store import UsageStore
from gateway.config import secret_values, settings
from gateway.config.storage import AccessSettings


def keys(access: AccessSettings) -> Keys:
    """ConfigError: the database or the usage counters cannot be used."""
    return Keys(access.path, UsageStore(access.usage_path))


def authenticator(access: AccessSettings, refused: Callable[[str], None]) -> Authenticator:
    """`refused` is called with the reason, one word, for each rejected request. ConfigError: as for `keys`."""
    if not access.required:
        return OpenAuthenticator()
    stored = keys(access)
    return KeyAuthenticator(stored, metering(access, stored), refused, usual_limits(access))


def metering(access: AccessSettings, stored: Keys) -> Metering:
    """What the requests of one process share, for these keys."""
    longest = access.longest_thought, access.longest_answer
    recent = RecentTokens(access.recent_path)
    return Metering(stored.counters, stored.clock, *longest, access.quota_wait_s, recent)


def usual_limits(access: AccessSettings) -> Limits:
    """The default limits of keys."""
    return Limits(
        max_parallel_requests=access.max_parallel_requests,
        max_bytes_in_flight=access.max_bytes_in_flight,
        overspend=access.overspend,
        overspend_dollars=access.overspend_dollars,
    )


def seal(chosen: settings.Settings) -> Seal:
    """ConfigError: the configured secret cannot be used, or a generated one cannot be stored."""
    return Seal(secret_values.signing_secrets(chosen.signing) or [stored_secret(chosen.own_secret_path)])

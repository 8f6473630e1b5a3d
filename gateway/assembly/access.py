"""Who may come in, and the secrets that thoughts are sealed with."""

from __future__ import annotations

from collections.abc import Callable

from gateway.auth.authenticator import Authenticator, KeyAuthenticator, OpenAuthenticator
from gateway.auth.keys import Keys
from gateway.auth.limits import Limits
from gateway.auth.seal import Seal
from gateway.auth.seal_secret import kept_secret
from gateway.auth.usage_store import UsageStore
from gateway.config import secret_values, settings
from gateway.config.storage import AccessSettings


def keys(access: AccessSettings) -> Keys:
    """ConfigError: the database or the counters beside it cannot be used."""
    return Keys(access.path, UsageStore(access.usage_path))


def authenticator(access: AccessSettings, refused: Callable[[str], None]) -> Authenticator:
    """`refused` is told why, in one word, of every client without a valid key. ConfigError: as for `keys`."""
    if not access.required:
        return OpenAuthenticator()
    return KeyAuthenticator(keys(access), access.longest_thought, refused, usual_limits(access), access.longest_answer)


def usual_limits(access: AccessSettings) -> Limits:
    """Of keys that have none of their own."""
    return Limits(max_parallel_requests=access.max_parallel_requests, max_bytes_in_flight=access.max_bytes_in_flight)


def seal(chosen: settings.Settings) -> Seal:
    """ConfigError: the secret that is named cannot be used, or one of our own cannot be kept."""
    return Seal(secret_values.signing_secrets(chosen.signing) or [kept_secret(chosen.own_secret_path)])

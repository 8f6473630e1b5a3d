"""Authenticates clients: by API key, or as anonymous where no key is required."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from gateway.auth import key_database
from gateway.auth.api_key_format import digest, key_id, shown
from gateway.auth.key import Key
from gateway.auth.key_principal import KeyPrincipal
from gateway.auth.keys import Keys
from gateway.auth.limits import Budget, Limits
from gateway.auth.metering import Metering
from gateway.auth.principal import ANONYMOUS, Principal
from gateway.core.aliases import Headers
from gateway.core.errors import AccessUnavailable, GatewayError, InvalidKey

log = logging.getLogger("thinkgate")
CACHED_S = 1.0
NO_LIMITS = Limits()


class Authenticator(Protocol):
    def authenticate(self, headers: Headers) -> Principal:
        """The principal of a request with these headers (names in lower case). InvalidKey: there is no valid key."""
        ...

    def is_known(self, headers: Headers) -> bool:
        """Whether the headers hold a valid key; without a key, no refusal is counted."""
        ...

    def learns(self, key: str | None) -> bool:
        """Whether requests of the key with this id may be answered again to learn from them, as things are now."""
        ...

    def close(self) -> None: ...


class OpenAuthenticator:
    def authenticate(self, headers: Headers) -> Principal:
        return ANONYMOUS

    def is_known(self, headers: Headers) -> bool:
        return True

    def learns(self, key: str | None) -> bool:
        return True

    def close(self) -> None:
        pass


class KeyAuthenticator:
    """Caches keys until any key changes, and for at most CACHED_S seconds, in case a writer did not announce it."""

    def __init__(
        self,
        keys: Keys,
        metering: Metering,
        refused: Callable[[str], None] = lambda why: None,
        usual: Limits = NO_LIMITS,
    ) -> None:
        """`refused` is called with the reason, one word, for each rejected request; `usual` are the default limits of
        keys, of which teams have those on overspending. ConfigError: the keys cannot be read.
        """
        self._database = keys.open()
        self._counters = metering.counters
        self._metering = metering
        self._usual = usual
        self._usual_of_teams = Budget(overspend=usual.overspend, overspend_dollars=usual.overspend_dollars)
        self._refused = refused
        self._clock = metering.clock
        self._known: dict[str, Key] = {}
        self._version = -1
        self._until = 0.0

    def authenticate(self, headers: Headers) -> Principal:
        try:
            secret = shown(headers)
        except InvalidKey:
            self._refused("several")
            raise
        if not secret:
            raise self._refusal("missing", "An API key is required: send it as `Authorization: Bearer tg-...`.")
        id = key_id(secret)
        if id is None:
            raise self._refusal("malformed", "The API key is malformed: keys of this gateway begin with `tg-`.")
        key = self._find(id)
        now = self._clock()
        if key is None or not key.opened_by(digest(secret), now):
            raise self._refusal("unknown", "The API key is not valid.")
        state = key.state(now)
        if state != "live":
            raise self._refusal(state, f"The API key is {state}.")
        return KeyPrincipal(key, self._metering)

    def is_known(self, headers: Headers) -> bool:
        try:
            return bool(shown(headers)) and self.authenticate(headers) is not None
        except GatewayError:
            return False

    def learns(self, key: str | None) -> bool:
        """Not of a key that is gone, or that cannot be read."""
        try:
            found = None if key is None else self._find(key)
        except AccessUnavailable:
            return False
        if found is None or found.state(self._clock()) != "live":
            return False
        return all(account.limits.learn is not False for account in found.accounts)

    def close(self) -> None:
        self._database.close()
        self._counters.close()

    def _find(self, id: str) -> Key | None:
        version = self._counters.version()
        now = time.monotonic()
        if version != self._version or now >= self._until:
            self._known.clear()
            self._version, self._until = version, now + CACHED_S
            self._counters.release_dead()
        key = self._known.get(id)
        if key is None:
            try:
                key = key_database.find(self._database, id)
            except (sqlite3.Error, ValueError) as error:
                log.error("the key %s cannot be read: %s", id, error)
                raise AccessUnavailable("The gateway cannot check API keys right now.") from error
            if key is not None:
                key = self._known[id] = self._with_usual(key)
        return key

    def _with_usual(self, key: Key) -> Key:
        team = key.team
        if team is not None:
            team = replace(team, limits=team.limits.or_else(self._usual_of_teams))
        return replace(key, limits=key.limits.or_else(self._usual), team=team)

    def _refusal(self, why: str, message: str) -> InvalidKey:
        self._refused(why)
        return InvalidKey(message)

"""A gateway that requires API keys, with a clock that tests control."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import openai

from gateway import assembly
from gateway.app import make_parts
from gateway.auth.authenticator import KeyAuthenticator
from gateway.auth.keys import Keys
from gateway.auth.limits import NewKey
from gateway.config.settings import parse
from tests.gateway.running import RunningGateway, ServedGateway

# The first second of a minute, an hour and a day, but not of a month.
NOON = 20_000 * 86_400.0


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now


class KeyedGateway(RunningGateway):
    """`keys` is the store of its keys, as the operator's commands see it."""

    keys: Keys

    def __init__(self, table: dict[str, Any], folder: Path, clock: Clock, **access: Any) -> None:
        """`access` are keys of the [access] table; unless they say so, nothing waits for quotas."""
        settings = parse(
            {
                "records": {"path": folder / "records.db"},
                **table,
                "access": {
                    "required": True,
                    "path": folder / "keys.db",
                    "longest_thought": 1000,
                    "quota_wait_s": 0,
                    **access,
                },
            }
        )
        self.keys, theirs = (replace(assembly.keys(settings.access), clock=clock) for _ in range(2))
        parts = make_parts(settings)
        parts.authenticator.close()
        chosen = settings.access
        authenticator = KeyAuthenticator(
            theirs,
            assembly.metering(chosen, theirs),
            lambda why: parts.metrics.refused.labels(why).inc(),
            assembly.usual_limits(chosen),
        )
        self._set_up(replace(parts, authenticator=authenticator))

    def key(self, expires_in_s: float | None = None, **limits: Any) -> str:
        """The secret of a new key with these limits."""
        wanted = NewKey.read({"name": "a test's", "expires_in_s": expires_in_s, "limits": limits})
        return self.keys.create(wanted)[1]

    def client(self, secret: str) -> openai.OpenAI:
        return self.sdk(secret)

    def async_client(self, secret: str) -> openai.AsyncOpenAI:
        return self.async_sdk(secret)


class ServedKeyedGateway(ServedGateway, KeyedGateway):
    """The same, listening on a port."""

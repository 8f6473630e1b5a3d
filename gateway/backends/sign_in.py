"""Logs, at a limited rate, that a backend rejected the gateway's key; clients do not see the reason."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger("thinkgate")
EVERY_S = 60.0


class SignIn:
    def __init__(self, count: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`count` is called with the deployment of each rejection."""
        self._count = count
        self._clock = clock
        self._logged_at: dict[str, float] = {}

    def refused(self, deployment: str, url: str) -> None:
        self._count(deployment)
        now = self._clock()
        if now >= self._logged_at.get(deployment, -EVERY_S) + EVERY_S:
            self._logged_at[deployment] = now
            message = "deployment %s: %s rejected the gateway's key: see its api_key_env or api_key_file"
            log.error(message, deployment, url)

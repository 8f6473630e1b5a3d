"""What is the same in every request to a deployment."""

from __future__ import annotations

import aiohttp
from yarl import URL

from gateway.backends.evidence import client_of
from gateway.backends.replicas import Replicas
from gateway.core.call import Call
from gateway.core.deployment import Deployment

CHAT = "/chat/completions"


class Destination:
    """The constant parts of all requests to a deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.replicas = Replicas(deployment.urls)
        self._urls = {(url, CHAT): URL(url + CHAT) for url in deployment.urls}
        self.headers = {"authorization": f"Bearer {deployment.api_key}"} if deployment.api_key else {}
        self.timeout = aiohttp.ClientTimeout(
            connect=deployment.timeouts.connect_timeout_s,  # including DNS resolution
            sock_read=deployment.timeouts.read_timeout_s,
        )

    def client_of(self, call: Call) -> str | None:
        """The call's client; None while no request has failed, as it does not matter then."""
        return client_of(call) if self.replicas.suspected else call.key

    def url(self, base: str, path: str) -> URL:
        known = self._urls.get((base, path))
        if known is None:
            known = self._urls[base, path] = URL(base + path)
        return known

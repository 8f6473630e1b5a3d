"""HTTP clients for tests, without TLS and with patience.

Clients that are not given a TLS context read all certificate authorities, each of them: 25 ms of CPU a client.
"""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from tests.patience import PATIENCE_S

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def client(**options: Any) -> httpx.Client:
    return httpx.Client(**{"verify": NO_TLS, "timeout": PATIENCE_S, **options})


def async_client(**options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(**{"verify": NO_TLS, "timeout": PATIENCE_S, **options})


def request(method: str, url: str, **options: Any) -> httpx.Response:
    return httpx.request(method, url, **{"verify": NO_TLS, "timeout": PATIENCE_S, **options})


def get(url: str, **options: Any) -> httpx.Response:
    return request("GET", url, **options)


def post(url: str, **options: Any) -> httpx.Response:
    return request("POST", url, **options)


def delete(url: str, **options: Any) -> httpx.Response:
    return request("DELETE", url, **options)

"""Translates backend failures into the gateway's errors, and decides which are retryable."""

from __future__ import annotations

import asyncio
import math
import re
import time
from email.utils import mktime_tz, parsedate_tz

import aiohttp

from gateway.core.aliases import Headers
from gateway.core.backend_errors import (
    SIGN_IN,
    BackendFailed,
    BackendRefused,
    BackendTimeout,
    BackendUnreachable,
    SignInRefused,
    StreamCut,
    error_fields,
    error_from_backend,
)
from gateway.core.deployment import Deployment
from gateway.core.errors import GatewayError

# Headers of a refusal that a client may need.
KEPT_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry")
# The response header with the backend's own request id.
OWN_ID = "x-upstream-request-id"
_SANE_VALUE = re.compile(r"[\x20-\x7e]{1,200}")
MAX_ERROR_BYTES = 65_536
# Seconds that the body of a refusal may take to arrive.
REFUSAL_S = 2.0
TOO_MANY = 429
DAY_S = 86_400.0
TRY_ELSEWHERE = frozenset({TOO_MANY, 500, 502, 503, 504})


def is_retryable(error: GatewayError) -> bool:
    """Whether to try another replica. Not after a timeout, as the first one may still be working."""
    if isinstance(error, BackendRefused):
        return error.status in TRY_ELSEWHERE and error.headers.get("x-should-retry") != "false"
    return isinstance(error, BackendFailed) and not isinstance(error, BackendTimeout | SignInRefused)


def wait_s(headers: Headers, date: str | None = None) -> float | None:
    """The value of Retry-After in seconds; None if it is missing or invalid.

    A date is relative to `date`, the backend's clock when it answered, or else to ours. A date in the past, or more
    than a day ahead, means that the clocks disagree, and is ignored.
    """
    given = headers.get("retry-after")
    try:
        seconds = float(headers["retry-after-ms"]) / 1000 if given is None else float(given)
    except KeyError:
        return None
    except ValueError:
        moment, answered = _moment(given), time.time() if date is None else _moment(date)
        if moment is None or answered is None or moment - answered > DAY_S:
            return None
        seconds = moment - answered
    return seconds if 0 <= seconds < math.inf else None


def _moment(date: str | None) -> float | None:
    """An HTTP date in seconds since 1970; None if it is invalid."""
    try:
        parts = parsedate_tz(date or "")
        return None if parts is None else float(mktime_tz(parts))
    except (ValueError, OverflowError):
        return None


def own_id(response: aiohttp.ClientResponse) -> str | None:
    """The backend's own id for the request, for support; None if it has none or echoes ours."""
    given = response.headers.get("x-request-id") or response.headers.get("request-id")
    if given is None or given == response.request_info.headers.get("x-request-id") or not _SANE_VALUE.fullmatch(given):
        return None
    return given


async def refusal(response: aiohttp.ClientResponse, deployment: Deployment) -> BackendRefused | SignInRefused:
    """The backend's refusal with its status, fields and relevant headers; the gateway's key is redacted."""
    if response.status in SIGN_IN:
        response.close()
        return SignInRefused(f"The backend {deployment.name} rejected the gateway's credentials.")
    given = ((name, response.headers.get(name, "")) for name in KEPT_HEADERS)
    headers = {name: value for name, value in given if _SANE_VALUE.fullmatch(value)}
    backend_id = own_id(response)
    if backend_id is not None:
        headers[OWN_ID] = backend_id
    raw = bytearray()
    try:
        async with asyncio.timeout(REFUSAL_S):
            while len(raw) < MAX_ERROR_BYTES and (part := await response.content.readany()):
                raw += part
    except (aiohttp.ClientError, TimeoutError):
        pass  # use what has arrived
    finally:
        response.close()
    status = response.status if 400 <= response.status < 600 else 502
    if deployment.api_key:
        raw = raw.replace(deployment.api_key.encode(), b"[the gateway's key]")
    fields = error_fields(raw) or {"message": f"The backend answered {response.status}."}
    return error_from_backend(status, headers, fields, wait_s(headers, response.headers.get("date")))


def failure(error: BaseException, deployment: Deployment) -> BackendFailed:
    """The error for a failure before the first byte of an answer."""
    name = deployment.name
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return BackendUnreachable(f"The backend {name} cannot be reached.")
    if isinstance(error, TimeoutError):
        return BackendTimeout(f"The backend {name} did not answer in time.")
    return BackendFailed(f"The backend {name} failed before it answered.")


def cut(error: BaseException, deployment: Deployment) -> BackendFailed:
    if isinstance(error, TimeoutError):
        return BackendTimeout(f"The backend {deployment.name} stopped sending.")
    return StreamCut(f"The backend {deployment.name} failed in the middle of its answer.")

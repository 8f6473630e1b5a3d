"""The error hierarchy. Every error carries a status, type, param, code and message for the client.

GatewayError
├── InvalidRequest          400  the client can fix it
│   ├── UnknownModel        404
│   ├── BodyTooLarge        413
│   ├── HeadTooLarge        431
│   ├── TooSlow             408  the request did not arrive in time
│   ├── BadHttp             400  it is not valid HTTP
│   ├── InvalidKey          401  no valid API key
│   ├── NotAllowed          403  a model or an effort that the key may not use
│   ├── UnknownKey          404  to operators: no key has this id
│   ├── RequestNotFound     404  feedback for a request that this key has not made
│   ├── UnknownTeam         404  to operators: no team has this name
│   ├── TeamConflict        409  to operators: the team exists already, or has keys
│   ├── KeyNotLive          409  to operators: the key is expired or revoked
│   └── ReloadRefused       409  to operators: the new configuration is invalid
├── QuotaExceeded           429  the key's own limit, with the time until it resets
├── NotFound                404, 405  no such route
├── Overloaded              429  the deployment is at capacity; Retry-After says when to try again
├── (in `backend_errors.py`)
├── BackendRefused          the backend's own status and fields
├── BackendFailed           502
│   ├── BackendUnreachable  502  nothing reached the backend
│   ├── SignInRefused       502  the backend rejects the gateway's own key
│   ├── BackendTimeout      504
│   └── StreamCut           502  failed after the first byte; reported in the stream
├── ShuttingDown            503  the gateway stopped before the answer was complete
├── TooManyConnections  503  the connection limit is reached, in total or for one address
├── AccessUnavailable       503  keys cannot be checked
├── RecordsUnavailable      503  feedback cannot be stored now
├── ErasureFailed           503  to operators: a database is unavailable
└── InternalError           500
ConfigError                      start-up only: one line per problem
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import orjson

from gateway.core.aliases import Headers

# Longest name for which the nearest valid one is searched, in characters.
LONGEST_COMPARED = 100
# The longest Retry-After that the official SDKs obey; longer waits are left to the user.
WORTH_WAITING_S = 60


class GatewayError(Exception):
    """`headers` are sent with the response; `message` is shown to the client and reveals no internals."""

    status = 500
    type = "server_error"
    code: str | None = "internal_error"
    # The message of errors that always have the same one.
    message = ""
    # Whether a backend may have worked on the answer.
    may_have_run = False

    def __init__(self, message: str = "", *, param: str | None = None, code: str | None = None) -> None:
        self.message = message or self.message
        super().__init__(self.message)
        self.param = param
        self.code = code or self.code
        self.headers: Headers = {}

    def body(self) -> bytes:
        return orjson.dumps({"error": self.fields()})

    def for_log(self) -> str:
        return f"{self.message} ({self.code})"

    def fields(self) -> dict[str, Any]:
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}


class InvalidRequest(GatewayError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class UnknownModel(InvalidRequest):
    status = 404
    code = "model_not_found"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"The model {name[:100]!r} does not exist.{suggestion(name, known)}", param="model")


class BodyTooLarge(InvalidRequest):
    status = 413
    code = "request_too_large"


class HeadTooLarge(InvalidRequest):
    status = 431
    code = "headers_too_large"


class TooSlow(InvalidRequest):
    status = 408
    code = "request_timeout"


class BadHttp(InvalidRequest):
    code = "invalid_http"


class InvalidKey(InvalidRequest):
    status = 401
    code = "invalid_api_key"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers = {"www-authenticate": "Bearer"}


class NotAllowed(InvalidRequest):
    status = 403


class UnknownKey(InvalidRequest):
    status = 404
    code = "key_not_found"

    def __init__(self, id: str) -> None:
        super().__init__(f"There is no key {id[:40]!r}.", param="id")


class UnknownTeam(InvalidRequest):
    status = 404
    code = "team_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no team {name[:64]!r}.", param="team")


class TeamConflict(InvalidRequest):
    status = 409
    code = "team_conflict"


class KeyNotLive(InvalidRequest):
    status = 409
    code = "key_not_live"


class ReloadRefused(InvalidRequest):
    status = 409
    code = "reload_refused"


class VersionRefused(InvalidRequest):
    """There is no such learned version, or nothing to go back to."""

    status = 409
    code = "version_refused"


class QuotaExceeded(GatewayError):
    """`kind` is what ran out, as OpenAI's `type`; it resets in `wait_s` seconds."""

    status = 429

    def __init__(self, kind: str, code: str, message: str, wait_s: float) -> None:
        super().__init__(message, code=code)
        self.type = kind
        self.wait_s = wait_s
        self.headers = _retry_headers(wait_s)


class NotFound(GatewayError):
    type = "invalid_request_error"
    code = "not_found"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, code=None if status == 404 else "method_not_allowed")
        self.status = status


class Overloaded(GatewayError):
    """`wait_s` is the expected wait for the requests ahead, in seconds."""

    status = 429
    type = "rate_limit_error"
    code = "overloaded"

    def __init__(self, deployment: str, wait_s: float) -> None:
        super().__init__(f"The deployment {deployment} is at capacity and its queue is full.")
        self.headers = _retry_headers(wait_s)


class ShuttingDown(GatewayError):
    status = 503
    code = "shutting_down"
    message = "The gateway shut down before this answer was complete."


class TooManyConnections(GatewayError):
    status = 503
    code = "too_many_connections"
    message = "The gateway has reached its connection limit: try again later."


class AccessUnavailable(GatewayError):
    status = 503
    code = "access_unavailable"


class RequestNotFound(InvalidRequest):
    """It never was, is too old, or is somebody else's: nobody learns which."""

    status = 404
    code = "request_not_found"

    def __init__(self, name: str, param: str = "id") -> None:
        of = "with the id" if param == "id" else f"of the {param}"
        super().__init__(f"There is no request {of} {name[:100]!r}.", param=param)


class UnknownExperiment(InvalidRequest):
    status = 404
    code = "experiment_not_found"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no experiment {name[:100]!r}.{suggestion(name, known)}", param="name")


class RecordsUnavailable(GatewayError):
    status = 503
    code = "records_unavailable"

    def __init__(self, message: str = "The gateway cannot reach its records right now: try again.") -> None:
        super().__init__(message)
        self.headers = _retry_headers(5)


class ErasureFailed(GatewayError):
    status = 503
    code = "erasure_failed"
    message = "Some stored data could not be erased: the log says why. Try again."


class InternalError(GatewayError):
    """A bug in the gateway. The client sees no details; the log has the traceback."""

    message = "The gateway failed to handle this request."


class ConfigError(Exception):
    """The configuration is invalid. `faults` has one line per problem."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _retry_headers(wait_s: float) -> Headers:
    """Retry headers; for waits longer than SDKs obey, they forbid automatic retries."""
    no_retry = {} if wait_s <= WORTH_WAITING_S else {"x-should-retry": "false"}
    return {"retry-after": str(max(math.ceil(wait_s), 1)), **no_retry}


def suggestion(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest valid name, else the list of valid names, else nothing."""
    names = sorted(known)
    # The comparison takes quadratic time.
    near = get_close_matches(name, names, n=1, cutoff=0.5) if len(name) <= LONGEST_COMPARED else []
    if near:
        return f" Did you mean {near[0]!r}?"
    return f" Known: {', '.join(names)}." if 0 < len(names) <= 20 else ""

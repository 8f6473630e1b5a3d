"""Errors of backends: their own refusals, and their failures."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.core.aliases import Headers
from gateway.core.errors import GatewayError

# Characters of a backend's error fields that go into the record; the client gets all of them.
MOST_RECORDED = 100
# Statuses, types and codes by which backends reject a key: always the gateway's own, as no client's is forwarded.
SIGN_IN = frozenset({401, 403, 407})
_SIGN_IN_WORDS: frozenset[object] = frozenset({"authentication_error", "permission_error", "invalid_api_key"})


class BackendRefused(GatewayError):
    """The backend answered with an error, which is passed on with its status, relevant headers and fields."""

    def __init__(self, status: int, headers: Headers, fields: dict[str, Any], wait_s: float | None = None) -> None:
        """`wait_s` is the backend's `retry-after` in seconds; None: it sent none."""
        param = fields.get("param")
        super().__init__(str(fields.get("message")), param=None if param is None else str(param)[:MOST_RECORDED])
        self.status = status
        self.headers = headers
        self.wait_s = wait_s
        kind = fields.get("type") or ("invalid_request_error" if status < 500 else "server_error")
        self.type = str(kind)[:MOST_RECORDED]
        self._fields = fields
        code = fields.get("code")
        self.code = None if code is None else str(code)[:MOST_RECORDED]

    def for_log(self) -> str:
        """Without the backend's message, which may quote the prompt."""
        return f"The backend refused with {self.status}."

    def fields(self) -> dict[str, Any]:
        return {"type": self.type, "param": None, "code": None, **self._fields}


class BackendFailed(GatewayError):
    status = 502
    code = "backend_error"


class BackendUnreachable(BackendFailed):
    code = "backend_unreachable"


class SignInRefused(BackendFailed):
    """The backend rejected the gateway's own key. The client sees no details."""

    code = "upstream_authentication_failed"

    def __init__(self, message: str = "A backend rejected the gateway's credentials.") -> None:
        super().__init__(message)
        self.headers = {"x-should-retry": "false"}


class AnswerTooLarge(BackendFailed):
    """The answer exceeds the size limit. The backend generated it, so the client is charged."""

    may_have_run = True


class BackendTimeout(BackendFailed):
    status = 504
    code = "backend_timeout"
    may_have_run = True


class StreamCut(BackendFailed):
    code = "stream_cut"


def error_from_backend(
    status: int, headers: Headers, fields: dict[str, Any], wait_s: float | None = None
) -> BackendRefused | SignInRefused:
    """The error for the client: the backend's refusal unchanged, unless it is about the gateway's own key."""
    words = (fields.get("type"), fields.get("code"))
    if status in SIGN_IN or any(isinstance(word, str) and word in _SIGN_IN_WORDS for word in words):
        return SignInRefused()
    return BackendRefused(status, headers, fields, wait_s)


def error_fields(raw: bytes | bytearray) -> dict[str, Any] | None:
    """The fields of an error in OpenAI's format, with or without the outer `error`; None: it is in another format."""
    try:
        return fields_of(orjson.loads(raw))
    except orjson.JSONDecodeError:
        return None


def fields_of(body: Any) -> dict[str, Any] | None:
    """The same for a parsed body."""
    fields = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(fields, str):
        fields = {"message": fields}
    if not isinstance(fields, dict) or not isinstance(fields.get("message"), str):
        return None
    fields = {key: value for key, value in fields.items() if key != "object"}
    try:
        orjson.dumps({"error": fields})
    except orjson.JSONEncodeError:
        # Nested too deeply to be serialised.
        return {key: value for key, value in fields.items() if isinstance(value, str | int | float | None)}
    return fields

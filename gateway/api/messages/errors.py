"""Errors and headers in Anthropic's format."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson

from gateway.core.aliases import Headers
from gateway.core.errors import GatewayError

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# Fields of chat completions, as the pipeline and backends name them in errors, and their names in this dialect.
_PARAMS = {
    "reasoning_effort": "output_config.effort",
    "thinking_token_budget": "thinking.budget_tokens",
    "chat_template_kwargs.enable_thinking": "thinking.type",
    "max_completion_tokens": "max_tokens",
    "stop": "stop_sequences",
    "response_format": "output_config.format",
}
_RATE_LIMITS = ("requests", "tokens")


def body(error: GatewayError, request_id: str) -> bytes:
    """Anthropic's error object, plus `param` and `code` as in the gateway's other dialects, and the code in `details`,
    where Anthropic's SDK reads it.
    """
    fields = error.fields()
    param, code = fields.get("param"), fields.get("code")
    inner = {
        "type": kind(error.status),
        "message": fields["message"],
        "param": _param_name(param) if isinstance(param, str) else param,
        "code": code,
        "details": {"error_code": code} if isinstance(code, str) else None,
    }
    return orjson.dumps({"type": "error", "error": inner, "request_id": request_id})


def _param_name(param: str) -> str:
    """The client's name of a parameter. Indexes into `messages` are dropped, as converted messages differ."""
    return "messages" if param.startswith("messages[") else _PARAMS.get(param, param)


def kind(status: int) -> str:
    return _TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")


def headers(given: Headers) -> Headers:
    """Adds Anthropic's names for the request id and for the rate-limit headers."""
    result = dict(given)
    if "x-request-id" in given:
        result["request-id"] = given["x-request-id"]
    for name in _RATE_LIMITS:
        limit = given.get(f"x-ratelimit-limit-{name}")
        if limit is not None:
            result[f"anthropic-ratelimit-{name}-limit"] = limit
            result[f"anthropic-ratelimit-{name}-remaining"] = given[f"x-ratelimit-remaining-{name}"]
            result[f"anthropic-ratelimit-{name}-reset"] = _time_in(given[f"x-ratelimit-reset-{name}"])
    return result


def _time_in(left: str) -> str:
    """The time in `left` seconds (`37s`), as RFC 3339."""
    moment = datetime.now(UTC) + timedelta(seconds=int(left.removesuffix("s")))
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")

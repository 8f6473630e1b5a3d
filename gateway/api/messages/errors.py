"""Errors and headers in Anthropic's shape."""

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
# What the pipeline and the backends call a field that this dialect has under another name.
_PARAMS = {
    "reasoning_effort": "output_config.effort",
    "thinking_token_budget": "thinking.budget_tokens",
    "chat_template_kwargs.enable_thinking": "thinking.type",
    "max_completion_tokens": "max_tokens",
    "stop": "stop_sequences",
    "response_format": "output_config.format",
}
_LIMITED = ("requests", "tokens")


def body(error: GatewayError, request_id: str) -> bytes:
    """With `param` and `code` besides, as every dialect has them here, and the code where Anthropic's SDK looks."""
    fields = error.fields()
    param, code = fields.get("param"), fields.get("code")
    told = {
        "type": kind(error.status),
        "message": fields["message"],
        "param": _known_as(param) if isinstance(param, str) else param,
        "code": code,
        "details": {"error_code": code} if isinstance(code, str) else None,
    }
    return orjson.dumps({"type": "error", "error": told, "request_id": request_id})


def _known_as(param: str) -> str:
    """A place in the messages of the chat completion is none in the client's own: turns are put together anew."""
    return "messages" if param.startswith("messages[") else _PARAMS.get(param, param)


def kind(status: int) -> str:
    return _TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")


def headers(given: Headers) -> Headers:
    """The request's id as Anthropic calls it, and what is left of a key's limits."""
    told = dict(given)
    if "x-request-id" in given:
        told["request-id"] = given["x-request-id"]
    for name in _LIMITED:
        limit = given.get(f"x-ratelimit-limit-{name}")
        if limit is not None:
            told[f"anthropic-ratelimit-{name}-limit"] = limit
            told[f"anthropic-ratelimit-{name}-remaining"] = given[f"x-ratelimit-remaining-{name}"]
            told[f"anthropic-ratelimit-{name}-reset"] = _moment(given[f"x-ratelimit-reset-{name}"])
    return told


def _moment(left: str) -> str:
    """When so many seconds (`37s`) have passed."""
    moment = datetime.now(UTC) + timedelta(seconds=int(left.removesuffix("s")))
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")

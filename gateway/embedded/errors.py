"""Errors of requests, with vLLM's texts and JSON format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

MOST_DETAILS = 10
# How many characters of a client's value an error repeats.
LONGEST_SHOWN = 200
NO_BUDGETS = (
    "thinking_token_budget is set but reasoning_config is not configured. Please set "
    "--reasoning-parser or --reasoning-config to use thinking_token_budget."
)


class RequestError(Exception):
    """An error response: `status`, the `body` in OpenAI's format, and extra headers."""

    status = 400
    kind = "BadRequestError"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param

    def body(self) -> dict[str, Any]:
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.status}}


class BadRequest(RequestError):
    """A value of the right type that is not allowed; the message repeats `value`."""

    def __init__(self, message: str, param: str | None = None, value: Any = None) -> None:
        details = [] if param is None else [f"parameter={param}"]
        details += [] if value is None else [f"value={str(value)[:LONGEST_SHOWN]}"]
        super().__init__(f"{message} ({', '.join(details)})" if details else message, param)


class Invalid(RequestError):
    """A malformed request: invalid JSON, wrong types or missing fields."""

    kind = "Bad Request"

    def __init__(self, problems: Sequence[Mapping[str, Any]]) -> None:
        """`problems` in pydantic's format."""
        lines = [f"{len(problems)} validation error{'s' if len(problems) > 1 else ''}:"]
        lines += [f"  {_described(problem)}" for problem in problems[:MOST_DETAILS]]
        if len(problems) > MOST_DETAILS:
            lines.append(f"  ...and {len(problems) - MOST_DETAILS} more errors")
        super().__init__("\n".join(lines), _location(problems[0]))


class TooLarge(RequestError):
    status = 413
    kind = "RequestEntityTooLargeError"

    def __init__(self, most: int) -> None:
        super().__init__(f"The request body is larger than {most} bytes.")


class ModelNotServed(RequestError):
    status = 404
    kind = "NotFoundError"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"The model `{name[:LONGEST_SHOWN]}` does not exist. Valid aliases: {', '.join(known)}.", "model"
        )


class QueueFull(RequestError):
    status = 429
    kind = "TooManyRequestsError"
    headers: ClassVar[Mapping[str, str]] = {"retry-after": "1"}

    def __init__(self, model: str, waiting: int) -> None:
        super().__init__(f"The queue of `{model}` is full: {waiting} requests are waiting. Try again in a second.")


class Failed(RequestError):
    """A failure of the engine."""

    status = 500
    kind = "InternalServerError"


def _location(problem: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in ("body", *problem["loc"]))


def _described(problem: Mapping[str, Any]) -> dict[str, Any]:
    shown = {"type": problem["type"], "loc": _location(problem), "msg": problem["msg"]}
    shown["input"] = _shortened(problem.get("input"))
    return shown | ({"ctx": problem["ctx"]} if "ctx" in problem else {})


def _shortened(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"<{type(value).__name__} of {len(value)} items>"
    return str(value)[:LONGEST_SHOWN]

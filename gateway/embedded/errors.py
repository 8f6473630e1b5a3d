"""What can be wrong with a request, in the words and shapes of vLLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

MOST_DETAILS = 10
# Characters of a client's own value that an error repeats.
LONGEST_SHOWN = 200
NO_BUDGETS = (
    "thinking_token_budget is set but reasoning_config is not configured. Please set "
    "--reasoning-parser or --reasoning-config to use thinking_token_budget."
)


class RequestError(Exception):
    """An answer that is an error: `status`, the OpenAI-shaped `body`, and extra headers."""

    status = 400
    kind = "BadRequestError"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param

    def body(self) -> dict[str, Any]:
        return error_body(str(self), self.kind, self.param, self.status)


class BadRequest(RequestError):
    """A value that is well-formed but makes no sense; `value` is repeated to the client."""

    def __init__(self, message: str, param: str | None = None, value: Any = None) -> None:
        details = [] if param is None else [f"parameter={param}"]
        details += [] if value is None else [f"value={str(value)[:LONGEST_SHOWN]}"]
        super().__init__(f"{message} ({', '.join(details)})" if details else message, param)


class Invalid(RequestError):
    """A body that does not have the form of a request: wrong types, missing fields, broken JSON."""

    kind = "Bad Request"

    def __init__(self, problems: Sequence[Mapping[str, Any]]) -> None:
        """`problems` as pydantic lists them."""
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
    """The engine's own fault."""

    status = 500
    kind = "InternalServerError"


def error_body(message: str, kind: str, param: str | None, code: int) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _location(problem: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in ("body", *problem["loc"]))


def _described(problem: Mapping[str, Any]) -> dict[str, Any]:
    kept = {"type": problem["type"], "loc": _location(problem), "msg": problem["msg"]}
    kept["input"] = _shortened(problem.get("input"))
    return kept | ({"ctx": problem["ctx"]} if "ctx" in problem else {})


def _shortened(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"<{type(value).__name__} of {len(value)} items>"
    return str(value)[:LONGEST_SHOWN]

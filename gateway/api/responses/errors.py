"""The errors of this dialect, and its names for the fields of chat completions."""

from __future__ import annotations

from typing import Any

from gateway.core.errors import GatewayError, InvalidRequest

# Fields of the chat completion that a request becomes, and where they are in the request.
_FIELD_NAMES = {
    "reasoning_effort": "reasoning.effort",
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
}


class UnknownPrevious(InvalidRequest):
    """Missing, expired, deleted, or of another key: clients cannot tell which."""

    code = "previous_response_not_found"

    def __init__(self, id: str) -> None:
        super().__init__(f"Previous response with id {id[:100]!r} not found.", param="previous_response_id")


class UnknownItem(InvalidRequest):
    status = 404
    code = "item_not_found"

    def __init__(self, id: str, param: str) -> None:
        hint = "Items are stored as long as their response, and only if `store` was not false."
        super().__init__(f"Item with id {id[:100]!r} not found. {hint}", param=param)


class UnknownResponse(InvalidRequest):
    status = 404
    code = "response_not_found"

    def __init__(self, id: str) -> None:
        super().__init__(f"Response with id {id[:100]!r} not found.", param="response_id")


class StoreUnavailable(GatewayError):
    status = 503
    code = "store_unavailable"
    message = "The gateway cannot access stored responses right now."


class Unsupported(InvalidRequest):
    """A feature of OpenAI's API that the gateway does not have."""

    code = "unsupported_parameter"

    def __init__(self, param: str, message: str) -> None:
        super().__init__(f"{param} {message}", param=param)


class ResponsesFieldNames(InvalidRequest):
    """A field of chat completions that has another name in this dialect."""

    code = "unknown_parameter"

    def __init__(self, name: str, instead: str) -> None:
        super().__init__(f"{name} is not supported: use {instead}.", param=name)


def fields(error: GatewayError) -> dict[str, Any]:
    """The error with this dialect's field names. Messages of backends stay unchanged."""
    shown = error.fields()
    if isinstance(error, ResponsesFieldNames):
        return shown
    param = shown.get("param")
    if isinstance(param, str):
        head = param.partition("[")[0].partition(".")[0]
        if head in _FIELD_NAMES:
            shown["param"] = _FIELD_NAMES[head] if head == "messages" else _FIELD_NAMES[head] + param[len(head) :]
    if isinstance(error, InvalidRequest):
        for name in ("reasoning_effort", "max_completion_tokens"):
            shown["message"] = shown["message"].replace(name, _FIELD_NAMES[name])
    return shown

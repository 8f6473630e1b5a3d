"""Errors of this dialect: its own kinds, and the names that its clients know the fields of a chat completion by."""

from __future__ import annotations

from typing import Any

from gateway.core.errors import GatewayError, InvalidRequest

# Fields of the chat completion that a request becomes, and where the client said it.
_SAID_IN = {
    "reasoning_effort": "reasoning.effort",
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
}


class UnknownPrevious(InvalidRequest):
    """It never was, is too old, was deleted, or is somebody else's: nobody learns which."""

    code = "previous_response_not_found"

    def __init__(self, id: str) -> None:
        super().__init__(f"Previous response with id {id[:100]!r} not found.", param="previous_response_id")


class UnknownItem(InvalidRequest):
    status = 404
    code = "item_not_found"

    def __init__(self, id: str, param: str) -> None:
        said = "Items are stored as long as their response, and only if `store` was not false."
        super().__init__(f"Item with id {id[:100]!r} not found. {said}", param=param)


class UnknownResponse(InvalidRequest):
    status = 404
    code = "response_not_found"

    def __init__(self, id: str) -> None:
        super().__init__(f"Response with id {id[:100]!r} not found.", param="response_id")


class StoreUnavailable(GatewayError):
    status = 503
    code = "store_unavailable"

    def __init__(self) -> None:
        super().__init__("The gateway cannot access stored responses right now.")


class Unsupported(InvalidRequest):
    """What the dialect has and this gateway has not."""

    code = "unsupported_parameter"

    def __init__(self, param: str, message: str) -> None:
        super().__init__(f"{param} {message}", param=param)


class ResponsesFieldNames(InvalidRequest):
    """A field of chat completions that has another name here."""

    code = "unknown_parameter"

    def __init__(self, name: str, instead: str) -> None:
        super().__init__(f"{name} is not supported: use {instead}.", param=name)


def fields(error: GatewayError) -> dict[str, Any]:
    """An error as the client of this dialect understands it. A backend's words stay as they were."""
    told = error.fields()
    if isinstance(error, ResponsesFieldNames):
        return told
    param = told.get("param")
    if isinstance(param, str):
        head = param.partition("[")[0].partition(".")[0]
        if head in _SAID_IN:
            told["param"] = _SAID_IN[head] if head == "messages" else _SAID_IN[head] + param[len(head) :]
    if isinstance(error, InvalidRequest):
        for name in ("reasoning_effort", "max_completion_tokens"):
            told["message"] = told["message"].replace(name, _SAID_IN[name])
    return told

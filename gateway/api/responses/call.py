"""A call of this dialect, with what its response needs besides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.api.responses.turn import Item
from gateway.core.call import Call


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """What the response must contain, besides what the model generates.

    `id` is the response's; `items` are the input items of this request, `previous` and `root` the ids of the previous
    and of the first response of the conversation; `unit` is what an experiment assigns, the same for the whole
    conversation; `echo` holds the request fields that the response repeats. `store`: store the response; `sealed`:
    include encrypted reasoning; `summary`: include the reasoning as its own summary; `logprobs`: include
    log-probabilities. `custom` are the names of custom tools. `effort` and `context` are the client's values.
    """

    id: str
    created: int
    items: list[Item]
    previous: str | None
    root: str
    unit: str
    echo: dict[str, Any]
    store: bool
    sealed: bool
    summary: str | None
    logprobs: bool
    custom: frozenset[str]
    effort: str | None
    context: str


@dataclass(frozen=True, slots=True)
class ResponsesCall(Call):
    spec: ResponseSpec = field(kw_only=True)

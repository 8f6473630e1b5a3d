"""A call in this dialect: what the pipeline needs, and what the answer will have to say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.api.responses.turn import Item
from gateway.core.call import Call


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """What the client requested of the answer, besides what is sent to the model.

    `id` is the response's; `items` are the request's own, `previous` and `root` the responses that they go on from;
    `unit` is what an experiment assigns, the same for all that go on from it;
    `echo` holds the fields of the request as every response repeats them. `store`: keep it for later; `sealed`: with
    thoughts that the client can carry but not read; `summary`: with the thought where its summary would be; `logprobs`:
    with those of the text. `custom` are the names of custom tools. `effort` and `context` are what the client asked.
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
    wanted: ResponseSpec = field(kw_only=True)

"""From the bytes of a request to its call: the same for every endpoint that takes one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from gateway.api import json_object, model_name, stops
from gateway.api.dialect import ParsedRequest
from gateway.api.off_loop import OffLoop
from gateway.config.server import ServerSettings
from gateway.core.call import Call
from gateway.routing.catalogue import Catalogue


async def read_body(raw: bytes | bytearray, limits: ServerSettings, off_loop: OffLoop) -> tuple[dict[str, Any], int]:
    """The parsed body, and its size in bytes. InvalidRequest: it is no JSON object, or a dangerous one."""
    read = partial(json_object.read, raw, limits.max_depth, limits.max_values)
    return await off_loop.run(len(raw), read), len(raw)


async def read_call(
    parsed: ParsedRequest,
    read: Callable[[ParsedRequest], Awaitable[Call]],
    catalogue: Catalogue,
    limits: ServerSettings,
) -> Call:
    """The call that a dialect reads from a request, with the effort of the model's name and the class of its header.

    GatewayError: the client has to mend it, or may not use this model.
    """
    body, effort = model_name.split(parsed.body, catalogue)
    parsed.principal.check_model(body["model"])
    stops.check(body, limits)
    call = await read(replace(parsed, body=body))
    return model_name.refined(call, effort, parsed.headers, catalogue)

"""Ids of responses and items: unguessable, and an item's id names its response."""

from __future__ import annotations

import re
import secrets

_RESPONSE = re.compile(r"resp_[0-9a-f]{48}")
_ITEM = re.compile(r"[a-z]+_([0-9a-f]{48})_[io][0-9]{1,6}")


def new_response_id() -> str:
    return f"resp_{secrets.token_hex(24)}"


def is_response_id(id: str) -> bool:
    """Whether it can be one of ours."""
    return _RESPONSE.fullmatch(id) is not None


def input_item_id(response: str, kind: str, index: int) -> str:
    """For an item of the request that has none; `kind` is the usual prefix, like `msg`."""
    return f"{kind}_{response[5:]}_i{index}"


def output_item_id(response: str, kind: str, index: int) -> str:
    return f"{kind}_{response[5:]}_o{index}"


def response_of(item: str) -> str | None:
    """The response that an item is of; None if the id is none of ours."""
    found = _ITEM.fullmatch(item)
    return f"resp_{found[1]}" if found else None

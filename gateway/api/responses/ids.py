"""Unguessable ids of responses and items. An item's id contains that of its response."""

from __future__ import annotations

import re
import secrets

_RESPONSE = re.compile(r"resp_[0-9a-f]{48}")
_ITEM = re.compile(r"[a-z]+_([0-9a-f]{48})_[io][0-9]{1,6}")


def new_response_id() -> str:
    return f"resp_{secrets.token_hex(24)}"


def is_response_id(id: str) -> bool:
    """Whether it has the format of the gateway's own ids."""
    return _RESPONSE.fullmatch(id) is not None


def input_item_id(response: str, kind: str, index: int) -> str:
    """The id for an input item without one; `kind` is the usual prefix, such as `msg`."""
    return f"{kind}_{response[5:]}_i{index}"


def output_item_id(response: str, kind: str, index: int) -> str:
    return f"{kind}_{response[5:]}_o{index}"


def response_of(item: str) -> str | None:
    """The id of an item's response; None if the item's id is not the gateway's."""
    found = _ITEM.fullmatch(item)
    return f"resp_{found[1]}" if found else None

"""Type checks of fields that are forwarded to the backend, which validates their values.

Engines answer some wrong types with a 500, and misread others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.api import checks

Kinds = Mapping[str, tuple[tuple[type, ...], str]]

_NUMBER = ((float, int), "a number")
_WHOLE = ((int,), "a whole number")
_FLAG = ((bool,), "true or false")
_TEXT = ((str,), "a string")
_TABLE = ((dict,), "an object")
_LIST = ((list,), "a list")
_SAMPLING: Kinds = {
    **dict.fromkeys(("temperature", "top_p", "presence_penalty", "frequency_penalty"), _NUMBER),
    "seed": _WHOLE,
    "stop": ((str, list), "a string or a list of strings"),
    "logit_bias": _TABLE,
    "response_format": _TABLE,
    **dict.fromkeys(("user", "safety_identifier", "prompt_cache_key", "service_tier"), _TEXT),
}
CHAT_FIELDS: Kinds = {
    **_SAMPLING,
    "logprobs": _FLAG,
    "top_logprobs": _WHOLE,
    "parallel_tool_calls": _FLAG,
    "tool_choice": ((str, dict), "a string or an object"),
    "metadata": _TABLE,
    "store": _FLAG,
    "verbosity": _TEXT,
    "modalities": _LIST,
}
COMPLETION_FIELDS: Kinds = {**_SAMPLING, "logprobs": _WHOLE, "echo": _FLAG, "suffix": _TEXT}
EMBEDDING_FIELDS: Kinds = {"encoding_format": _TEXT, "dimensions": _WHOLE, "user": _TEXT}


def check(body: Mapping[str, Any], kinds: Kinds) -> None:
    """InvalidRequest: a field has a value of the wrong type. Null counts as absent."""
    for name, value in body.items():
        known = kinds.get(name)
        # The exact type: in Python a boolean is an instance of int.
        if known is not None and value is not None and type(value) not in known[0]:
            raise checks.wrong_type(name, known[1], value)

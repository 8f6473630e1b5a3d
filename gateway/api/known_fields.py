"""Fields that go on to the backend unread, as far as their kind of value goes: what more they may be, it judges.

Engines answer some wrong kinds with a 500, and read others as something else.
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
OF_CHATS: Kinds = {
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
OF_COMPLETIONS: Kinds = {**_SAMPLING, "logprobs": _WHOLE, "echo": _FLAG, "suffix": _TEXT}
OF_EMBEDDINGS: Kinds = {"encoding_format": _TEXT, "dimensions": _WHOLE, "user": _TEXT}


def check(body: Mapping[str, Any], kinds: Kinds) -> None:
    """InvalidRequest: a field has a value of the wrong kind. Null is as good as absent."""
    for name, value in body.items():
        known = kinds.get(name)
        # By its very type, as a boolean is a whole number to Python.
        if known is not None and value is not None and type(value) not in known[0]:
            raise checks.wrong_type(name, known[1], value)

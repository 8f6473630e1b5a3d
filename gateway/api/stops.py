"""Limits the number and length of stop sequences, since every chunk of the answer is searched for each.

OpenAI and Mistral document at most 4, vLLM accepts 4 (`VLLM_MAX_STOP_STRINGS`), Gemini 5, Bedrock's Converse 2,500;
none documents a maximum length.
"""

from __future__ import annotations

from typing import Any

from gateway.config.server import ServerSettings
from gateway.core.errors import InvalidRequest

# The field of each dialect, and the path of item_path of its items.
_FIELDS = (("stop", "stop[{}]"), ("stop_sequences", "stop_sequences.{}"))


def check(body: dict[str, Any], limits: ServerSettings) -> None:
    """InvalidRequest: there are too many, or item_path is too long. The dialect checks their types."""
    for name, item_path in _FIELDS:
        stops = body.get(name)
        if isinstance(stops, list):
            if len(stops) > limits.max_stops:
                message = f"{name} may hold at most {limits.max_stops} sequences, not {len(stops)}."
                raise InvalidRequest(message, param=name, code="array_too_long")
            for index, stop in enumerate(stops):
                _check_length(stop, item_path.format(index), limits.max_stop_length)
        else:
            _check_length(stops, name, limits.max_stop_length)


def _check_length(stop: Any, param: str, most: int) -> None:
    if isinstance(stop, str) and len(stop) > most:
        message = f"{param} may have at most {most} characters, not {len(stop)}."
        raise InvalidRequest(message, param=param, code="string_above_max_length")

"""How many stop sequences a request may have, and how long: each is looked for in every piece of the answer.

OpenAI and Mistral document four, vLLM takes four (`VLLM_MAX_STOP_STRINGS`), Gemini five, and Bedrock's Converse 2,500;
none says how long one may be.
"""

from __future__ import annotations

from typing import Any

from gateway.config.server import ServerSettings
from gateway.core.errors import InvalidRequest

# The field in each dialect, and what one of its values is called.
_FIELDS = (("stop", "stop[{}]"), ("stop_sequences", "stop_sequences.{}"))


def check(body: dict[str, Any], limits: ServerSettings) -> None:
    """InvalidRequest: there are too many, or one is too long. Whether they are texts at all, the dialect checks."""
    for name, one in _FIELDS:
        stops = body.get(name)
        if isinstance(stops, list):
            if len(stops) > limits.max_stops:
                said = f"{name} may hold at most {limits.max_stops} sequences, not {len(stops)}."
                raise InvalidRequest(said, param=name, code="array_too_long")
            for index, stop in enumerate(stops):
                _check_length(stop, one.format(index), limits.max_stop_length)
        else:
            _check_length(stops, name, limits.max_stop_length)


def _check_length(stop: Any, param: str, most: int) -> None:
    if isinstance(stop, str) and len(stop) > most:
        said = f"{param} may have at most {most} characters, not {len(stop)}."
        raise InvalidRequest(said, param=param, code="string_above_max_length")

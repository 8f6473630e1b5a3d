"""Checks JSON values against JSON schemas, also those of clients, which nobody has read."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

# Bytes of a compiled pattern and of its cache.
MOST_PATTERN = 1_000_000


def compiled(schema: dict[str, Any] | bool) -> Any | None:
    """A validator; None: the schema is invalid, or needs what is not here.

    Nothing is fetched: a schema that refers to another document is no use. Patterns match in linear time.
    """
    patterns = jsonschema_rs.RegexOptions(size_limit=MOST_PATTERN, dfa_size_limit=MOST_PATTERN)
    try:
        return jsonschema_rs.validator_for(schema, validate_formats=True, pattern_options=patterns, offline=True)
    except (ValueError, jsonschema_rs.ReferencingError):
        return None

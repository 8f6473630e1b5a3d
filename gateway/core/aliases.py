"""Names for two shapes that stand everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JsonObject = Mapping[str, Any]


Headers = Mapping[str, str]

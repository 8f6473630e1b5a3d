"""Type aliases used everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JsonObject = Mapping[str, Any]
Headers = Mapping[str, str]

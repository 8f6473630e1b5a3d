"""The artifacts included in the package. Listing their names does not load them."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "artifacts"


def names() -> list[str]:
    return sorted(path.parent.name for path in FOLDER.glob("*/artifact.json"))


def ships(name: str) -> bool:
    return name in names()

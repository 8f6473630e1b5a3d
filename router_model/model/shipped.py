"""The artifacts that come with the package. Asking for one by name reads none."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "artifacts"


def names() -> list[str]:
    return sorted(path.parent.name for path in FOLDER.glob("*/artifact.json"))


def ships(name: str) -> bool:
    return name in names()

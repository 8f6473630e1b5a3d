"""The base install stays small, and without a machine-learning framework."""

from __future__ import annotations

import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("gateway", "router_model")
LIMIT = 300_000_000


def base_distributions() -> set[str]:
    """Names of everything that the base install brings, by pyproject.toml and installed metadata."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [Requirement(text) for text in project["dependencies"]]
    found: dict[str, set[str]] = {}
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name not in found or not requirement.extras <= found[name]:
            extras = found.setdefault(name, set())
            extras |= requirement.extras
            needs = map(Requirement, distribution(name).requires or ())
            wanted.extend(need for need in needs if _applies(need, extras))
    return set(found)


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    """Whether a distribution with these extras needs this, here."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, ""))


def _size(name: str) -> int:
    """Bytes on disk, in whole blocks of 4 KiB as a file system counts them."""
    files = [Path(str(file.locate())) for file in distribution(name).files or ()]
    return sum(-(-file.stat().st_size // 4096) * 4096 for file in files if file.is_file())


def test_the_base_install_is_small() -> None:
    own = sum(file.stat().st_size for package in PACKAGES for file in (ROOT / package).rglob("*") if file.is_file())
    sizes = {name: _size(name) for name in base_distributions()}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    assert own + sum(sizes.values()) <= LIMIT, largest


def test_the_base_install_has_no_framework() -> None:
    assert not base_distributions() & {"torch", "transformers", "scikit-learn", "scipy", "pyarrow", "tensorflow", "jax"}

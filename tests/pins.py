"""What a file of exact versions says, and whether an environment holds just that."""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def pins(file: Path) -> list[tuple[Requirement, list[str]]]:
    """Every requirement of the file, and its hashes (`sha256:…`)."""
    lines = [line for line in file.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    parts = [line.split("--hash=") for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]
    return [(Requirement(pin.strip()), [text.strip() for text in hashes]) for pin, *hashes in parts]


def version_of(pin: Requirement) -> str:
    (bound,) = pin.specifier
    return bound.version


def missing(file: Path, site_packages: Path) -> list[str]:
    """The pins that apply to this machine and Python, and that are not installed there in their exact version."""
    there = {canonicalize_name(found.name): found.version for found in distributions(path=[str(site_packages)])}
    here = [pin for pin, _ in pins(file) if pin.marker is None or pin.marker.evaluate()]
    return [str(pin) for pin in here if there.get(canonicalize_name(pin.name)) != version_of(pin)]

"""What the base install brings is bounded below, and under licences that a product may be shipped with."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import metadata

from packaging.requirements import Requirement

from tests.every import every
from tests.plain_install import ROOT, requirements

# As the packages write them. A new name here is a decision: permissive, or MPL for files that we do not change.
ALLOWED = {
    *("0BSD", "BSD-2-Clause", "BSD-3-Clause", "3-Clause BSD License", "BSD License"),
    *("Apache-2.0", "Apache 2.0", "Apache Software License", "MIT", "MIT License", "MIT-0", "ISC", "CC0-1.0", "Zlib"),
    *("PSF-2.0", "MPL-2.0"),
}


def licences(name: str) -> set[str]:
    """The SPDX expression, else the licence in words, else the classifiers."""
    about = metadata(name)
    classifiers = [
        each.rsplit(" :: ", 1)[1] for each in about.get_all("Classifier") or [] if each.startswith("License")
    ]
    text = about.get("License-Expression") or about.get("License") or " AND ".join(classifiers)
    return {part.strip() for part in re.split(r"\bAND\b|\bOR\b|[()]", text) if part.strip()}


@every([(name,) for name in sorted(requirements())])
def test_licences_are_allowed(name: str) -> None:
    found = licences(name)
    assert found and found <= ALLOWED, found


def test_every_requirement_has_a_lower_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    for text in [*project["dependencies"], *(each for extra in extras for each in extra)]:
        requirement = Requirement(text)
        if requirement.name != project["name"]:
            assert any(bound.operator in (">=", "==") for bound in requirement.specifier), text

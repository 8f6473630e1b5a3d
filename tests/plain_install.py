"""An environment that holds what `pip install .` brings, and nothing that only the tests need.

Its packages are linked from the environment that the tests run in, so that no index is asked and the versions are those
of the lock. The product itself is built and installed by pip. There, the command `pip` is this module.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
_NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv*", ".peers", "runs", "build", "__pycache__", ".*_cache", "*.egg-info"
)
_TARGET = re.compile(r"\.(?:\[([\w,-]+)\])?")


def checkout(folder: Path) -> Path:
    """A copy of the checkout, as someone who has just cloned it has."""
    return Path(shutil.copytree(ROOT, folder, ignore=_NOT_COPIED))


def make(environment: Path) -> None:
    """An empty environment with a `pip` that installs from the one of the tests."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    pip = environment / "bin" / "pip"
    command = f"PYTHONPATH='{ROOT}' exec '{sys.executable}' -m tests.plain_install '{environment}'"
    pip.write_text(f'#!/bin/sh\n{command} "$@"\n', "utf-8")
    pip.chmod(0o755)


def requirements(*extras: str) -> set[str]:
    """Canonical names of all distributions that the base install and these extras bring here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [Requirement(text) for text in project["dependencies"]]
    wanted += [Requirement(f"{project['name']}[{','.join(extras)}]")] if extras else []
    found: dict[str, set[str]] = {}
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name in found and requirement.extras <= found[name]:
            continue
        known = found.setdefault(name, set())
        known |= requirement.extras
        needs = map(Requirement, distribution(name).requires or ())
        wanted.extend(need for need in needs if _applies(need, known))
    return set(found) - {project["name"]}


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    """Whether a distribution with these extras needs this, here."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, ""))


def _link(found: Distribution, site_packages: Path) -> None:
    """All files of a distribution but its commands, as hard links; as copies on another file system."""
    for file in found.files or ():
        target = site_packages / file
        source = Path(str(file.locate()))
        if ".." in file.parts or target.exists() or not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)


def main(environment: Path, arguments: Sequence[str]) -> None:
    """`pip install .` and `pip install '.[EXTRA,…]'`, in the folder of a checkout."""
    target = _TARGET.fullmatch(arguments[1]) if len(arguments) == 2 and arguments[0] == "install" else None
    if target is None:
        sys.exit(f"this pip knows `install .` and `install '.[EXTRA]'`, and not {' '.join(arguments)}")
    (site_packages,) = environment.glob("lib/python3.*/site-packages")
    for name in requirements(*(target[1].split(",") if target[1] else ())):
        _link(distribution(name), site_packages)
    if any(site_packages.glob("thinkgate-*.dist-info")):
        return
    # What pip builds with is at hand for this one command, and no part of the environment.
    with TemporaryDirectory() as backend:
        _link(distribution("setuptools"), Path(backend))
        own = ["--no-deps", "--no-build-isolation", "--no-index", "."]
        pip = [sys.executable, "-m", "pip", "--python", str(environment), "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", *own], env={**os.environ, "PYTHONPATH": backend}, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

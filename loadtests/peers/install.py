"""Installing the rivals, each into a folder of its own: about 1.3 GB and some minutes in all.

`FOLDER/NAME` holds an environment (pip) or a `node_modules` (npm); `installed` in it says that it is whole, with the
versions that came. An installation that failed leaves `FOLDER/NAME.failed`, which says why.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from loadtests.peers import rivals


class NotInstalled(Exception):
    """Why a rival is left out."""


class Wanted(Protocol):
    """What is to be installed: `wheels` by pip, `package` by npm; `program` must be there already."""

    @property
    def name(self) -> str: ...
    @property
    def wheels(self) -> tuple[str, ...]: ...
    @property
    def package(self) -> Mapping[str, object]: ...
    @property
    def program(self) -> str: ...


def install(rival: Wanted, folder: Path, say: Callable[[str], None]) -> None:
    """Install one that is missing; a failure is written to its folder and reported, not raised."""
    home = folder.resolve() / rival.name
    if rival.program or (home / "installed").exists():
        return
    say(f"installing {rival.name} into {home}")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    failed = folder / f"{rival.name}.failed"
    try:
        versions = _npm(rival, home) if rival.package else _pip(rival, home)
        (home / "installed").write_text(versions + "\n", "utf-8")
        failed.unlink(missing_ok=True)
    except NotInstalled as why:
        failed.write_text(f"{why}\n", "utf-8")
        say(f"{rival.name} cannot be installed: {why}")


def version(rival: Wanted, folder: Path) -> str:
    """What is installed. NotInstalled: nothing, and why."""
    if rival.program:
        if shutil.which(rival.program) is None:
            raise NotInstalled(f"{rival.program} is not on this machine")
        return "of this machine"
    failed, installed = folder / f"{rival.name}.failed", folder / rival.name / "installed"
    if failed.exists():
        raise NotInstalled(f"its installation failed: {failed.read_text('utf-8').strip()}")
    if not installed.exists():
        raise NotInstalled("it is not installed (`make peers` installs it)")
    if rival.package and shutil.which("node") is None:
        raise NotInstalled("there is no node to run it")
    return installed.read_text("utf-8").strip()


def _pip(rival: Wanted, home: Path) -> str:
    # By the pip of this environment: some distributions ship Python without one for new environments.
    _run([rivals.python(), "-m", "venv", "--without-pip", str(home)], home)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(home / "bin/python")]
    _run([*pip, "install", "--quiet", *rival.wheels], home)
    listed = json.loads(_run([*pip, "list", "--format", "json"], home))
    wanted = {wheel.partition("[")[0] for wheel in rival.wheels}
    return ", ".join(row["version"] for row in listed if row["name"] in wanted)


def _npm(rival: Wanted, home: Path) -> str:
    if shutil.which("npm") is None:
        raise NotInstalled("there is no npm to install it with")
    (home / "package.json").write_text(rivals.package_json(rival.package), "utf-8")
    _run(["npm", "install", "--no-audit", "--no-fund"], home)
    dependencies = rival.package["dependencies"]
    assert isinstance(dependencies, dict)
    return ", ".join(dependencies.values())


def _run(command: list[str], home: Path) -> str:
    """What it printed. NotInstalled, with its last words, if it failed."""
    try:
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, timeout=1800)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(str(error)) from error
    if done.returncode:
        raise NotInstalled((done.stderr or done.stdout).strip().splitlines()[-1][:300])
    return done.stdout

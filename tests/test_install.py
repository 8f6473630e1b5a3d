"""The base install stays small, and without a machine-learning framework."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

from tests import plain_install
from tests.plain_install import ROOT

PACKAGES = ("gateway", "router_model")
# Half of it is NumPy and onnxruntime, a tenth the database toolkit with its migrations, a twentieth jsonschema-rs.
LIMIT = 355_000_000


def _size(name: str) -> int:
    """Bytes on disk, in whole blocks of 4 KiB as a file system counts them."""
    files = [Path(str(file.locate())) for file in distribution(name).files or ()]
    return sum(-(-file.stat().st_size // 4096) * 4096 for file in files if file.is_file())


def test_the_base_install_is_small() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*") if "__pycache__" not in file.parts]
    own = sum(file.stat().st_size for file in files if file.is_file())
    sizes = {name: _size(name) for name in plain_install.requirements()}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    assert own + sum(sizes.values()) <= LIMIT, largest


def test_the_base_install_has_no_framework() -> None:
    assert not plain_install.requirements() & {
        "torch",
        "transformers",
        "scikit-learn",
        "scipy",
        "pyarrow",
        "tensorflow",
        "jax",
    }

"""Imports point one way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.patience import PATIENCE_S

LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def test_imports_point_one_way() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LINT], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_gateway_starts_without_the_learning_side_s_heavy_parts() -> None:
    heavy = ["torch", "transformers", "sklearn", "pyarrow", "matplotlib", "openai", "tqdm"]
    code = (
        f"import sys, gateway.serving.run, router_model.model.predict; print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr

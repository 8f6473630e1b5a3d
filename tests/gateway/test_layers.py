"""Imports point one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tests.patience import PATIENCE_S

GATEWAY = Path(__file__).parents[2] / "gateway"
# What is passed along the path of a request: it is told by its methods, and written by no other part.
PASSED_ALONG = {
    "answer",
    "call",
    "decision",
    "facts",
    "outcome",
    "place",
    "plan",
    "planned",
    "probe",
    "recorder",
    "reply",
}
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def test_imports_point_one_way() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LINT], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_part_writes_into_the_object_of_another() -> None:
    written = [
        f"{path.relative_to(GATEWAY)}:{node.lineno}: {node.value.id}.{node.attr}"
        for path in GATEWAY.rglob("*.py")
        if "embedded" not in path.parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del)
        if isinstance(node.value, ast.Name) and node.value.id in PASSED_ALONG
    ]
    assert not written


def test_the_gateway_starts_without_the_learning_side_s_heavy_parts() -> None:
    heavy = ["torch", "transformers", "sklearn", "pyarrow", "matplotlib", "openai", "tqdm"]
    code = (
        f"import sys, gateway.serving.run, router_model.model.predict; print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr

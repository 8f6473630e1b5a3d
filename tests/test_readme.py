"""What the README says is true: its configuration is taken, its files exist, its targets are in the Makefile."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
THINKGATE = Path(sys.executable).with_name("thinkgate")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("configuration", "models"),
    list(zip(blocks("toml"), [("assistant", "assistant-fast", "pair"), ("assistant",)], strict=True)),
    ids=["in front of vLLM", "in production"],
)
def test_the_configurations_are_ones_the_gateway_takes(
    configuration: str, models: Sequence[str], tmp_path: Path
) -> None:
    for name in ("operators-key", "vllm-key"):
        (tmp_path / name).write_text("a key of more than sixteen letters")
    file = tmp_path / "thinkgate.toml"
    file.write_text(configuration.replace("/run/secrets", str(tmp_path)), "utf-8")
    done = subprocess.run([THINKGATE, "check", file], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    for model in models:
        assert model in done.stdout


def test_python_is_python() -> None:
    assert blocks("python")
    for block in blocks("python"):
        ast.parse(block)


def test_targets_and_commands_exist() -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= set(targets)
    listed = subprocess.run([THINKGATE, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    for command in set(re.findall(r"`thinkgate ([a-z]+)", README)):
        assert re.search(rf"^  {command}\b", listed, re.MULTILINE), command


def test_folders_and_files_exist() -> None:
    for name in re.findall(r"^\| `([a-z_/]+/)`", README, re.MULTILINE):
        assert (ROOT / name).is_dir(), name
    (path,) = re.findall(r"^    gateway/api/ → (.*)$", README, re.MULTILINE)
    for part in path.split(" → "):
        assert (ROOT / "gateway" / part.strip()).exists(), part

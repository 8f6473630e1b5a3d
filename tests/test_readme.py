"""What the README says is true: its configuration is taken, its files exist, its targets are in the Makefile."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
THINKGATE = Path(sys.executable).with_name("thinkgate")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_the_configuration_is_one_the_gateway_takes(tmp_path: Path) -> None:
    (configuration,) = blocks("toml")
    file = tmp_path / "thinkgate.toml"
    file.write_text(configuration, "utf-8")
    done = subprocess.run([THINKGATE, "check", file], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    for model in ("assistant", "assistant-fast", "pair"):
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

"""What the README says is true: its programs run, its files exist, its targets are in the Makefile."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.app import make_parts
from gateway.config.defaults import embedded_settings
from tests.gateway.running import RunningGateway

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
THINKGATE = Path(sys.executable).with_name("thinkgate")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_the_programs_run(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One after the other, as a reader would type them, in front of the embedded models."""
    parts = make_parts(embedded_settings(engine, tmp_path / "records.db"))
    known: dict[str, Any] = {}
    with RunningGateway.of(parts) as gateway:
        for block in blocks("python"):
            exec(block.replace("http://127.0.0.1:8080", gateway.url), known)
            words = capsys.readouterr().out.split()
            # An answer and a count of tokens each; what is sampled, as Anthropic's SDK always asks, may be anything.
            assert len(words) >= 2 * block.count("print(") and words[0] == "42", words
    for name in ("client", "anthropic"):
        known[name].close()


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

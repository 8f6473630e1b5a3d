"""What the README and the docs say is true: programs run, files exist, targets are in the Makefile."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.app import make_parts
from gateway.config.defaults import embedded_settings
from tests.gateway.running import ServedGateway
from tests.pages import PAGES, ROOT, blocks

TEXTS = {page: page.read_text("utf-8") for page in PAGES}
TEXT = "\n".join(TEXTS.values())
THINKGATE = Path(sys.executable).with_name("thinkgate")


def test_the_programs_run(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One after the other, as a reader would type them, in front of the embedded models."""
    parts = make_parts(embedded_settings(engine, tmp_path / "records.db"))
    known: dict[str, Any] = {}
    with ServedGateway.of(parts) as gateway:
        for block in (text for language, text in blocks() if language == "python"):
            exec(block.replace("http://127.0.0.1:8080", gateway.url), known)
            words = capsys.readouterr().out.split()
            # An answer and a count of tokens each; what is sampled, as Anthropic's SDK always asks, may be anything.
            assert len(words) >= 2 * block.count("print(") and words[0] == "42", words
    for name in ("client", "anthropic"):
        known[name].close()


def test_targets_and_commands_exist() -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", TEXT, re.MULTILINE)) <= set(targets)
    listed = subprocess.run([THINKGATE, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    for command in set(re.findall(r"`thinkgate ([a-z]+)", TEXT)):
        assert re.search(rf"^  {command}\b", listed, re.MULTILINE), command


def test_files_exist() -> None:
    """Links from where they stand, and every path of this repository that a page names."""
    for page, text in TEXTS.items():
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
        for name in re.findall(r"(?<![\w./-])(?:gateway|router_model|tests|loadtests|helm|docs)/[\w./*-]*", text):
            assert list(ROOT.glob(name.rstrip("./"))), f"{page.name}: {name}"

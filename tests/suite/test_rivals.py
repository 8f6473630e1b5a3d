"""The comparison with other local routers, on a stand-in: no rival is installed for tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from loadtests.peers.install import NotInstalled
from tests.suite import rivals, views

SAYS = """
import json, sys
for line in sys.stdin:
    text = json.loads(line)["messages"][-1]["content"]
    print("noise")
    print(json.dumps({"tier": int("rove" in text), "scores": [0, len(text)]}))
"""


def stand_in(folder: Path, script: str) -> rivals.Row:
    environment = folder / "stand-in" / "bin"
    environment.mkdir(parents=True)
    (environment / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
    (environment / "python").chmod(0o755)
    (folder / "router.py").write_text(script, "utf-8")
    return rivals.Row("stand-in", rivals.Installed("stand-in", ()), str(folder / "router.py"), 1)


def test_a_rival_counts_by_the_best_of_what_it_says(tmp_path: Path) -> None:
    cases = views.cases("alone")[:200]
    found = rivals.by_rival(stand_in(tmp_path, SAYS), tmp_path, cases)
    assert found.rho >= rivals.by_length(cases).rho - 1e-9
    assert 0 <= found.trivial <= 1 and 0 <= found.pairs <= 1
    shown = rivals.tables({"stand-in": dict.fromkeys(rivals.SHOWN, found)})
    assert len(shown) == 7 and all(line.count("|") in (0, 5, 7) for line in shown)


def test_a_rival_that_fails_is_left_out_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match="no such model"):
        rivals.by_rival(stand_in(tmp_path, "raise SystemExit('no such model')"), tmp_path, views.cases("alone")[:2])


def test_a_rival_that_leaves_requests_out_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match="0 tiers for 2 requests"):
        rivals.by_rival(stand_in(tmp_path, ""), tmp_path, views.cases("alone")[:2])

"""What recent answers took is known again after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.auth.recent_tokens import EVERY, REMEMBERED, Kind, RecentTokens
from gateway.core.efforts import UNLIMITED, from_budget

UNBOUND, BOUND = Kind.of("d", UNLIMITED), Kind.of("d", from_budget(100))


def filled(path: Path, count: int = 2 * REMEMBERED) -> RecentTokens:
    recent = RecentTokens(path)
    for number in range(count):
        recent.add(UNBOUND, number, number + 7)
        recent.add(BOUND, 3, 10)
    return recent


def test_a_restart_knows_what_recent_answers_took(tmp_path: Path) -> None:
    path = tmp_path / "keys.db.recent"
    before = filled(path)
    after = RecentTokens(path)
    assert path.stat().st_mode & 0o777 == 0o600 and [*tmp_path.iterdir()] == [path]
    for kind in (UNBOUND, BOUND):
        assert after.thinking(kind) == before.thinking(kind) is not None
        assert (after.completion(kind), after.ample(kind)) == (before.completion(kind), before.ample(kind))
    after.add(UNBOUND, 10_000, 10_000)
    assert after.ample(UNBOUND) == 20_000, "the oldest of them goes, and the newest counts"


def test_a_file_that_says_nothing_costs_only_what_it_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "keys.db.recent"
    for content in (b"", b"{}", b"[1]", b'[["d", 1, [1], [1, 2]]]', b'[["d", "x", [1], [1]]]', b"[[null]]"):
        path.write_bytes(content)
        assert filled(path, EVERY).thinking(BOUND) == 3
    assert caplog.text.count("what recent answers took is not known") >= 5
    gone = tmp_path / "gone" / "keys.db.recent"
    assert filled(gone, EVERY).thinking(BOUND) == 3
    assert "a restart will not know what recent answers took" in caplog.text

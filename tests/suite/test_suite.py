"""The suite itself: its prompts, its views and its figures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.suite import decisions, figures, views

# Every third prompt of the suite; `python -m tests.suite` has all.
SAMPLE = 3


def test_the_suite_is_wide_enough() -> None:
    rows = views.prompts()
    assert len(rows) >= 300 and len({row["prompt"] for row in rows}) == len(rows) == len({row["id"] for row in rows})
    languages = Counter(row["language"] for row in rows)
    assert len(languages) >= 10 and min(languages.values()) >= 20
    assert {row["difficulty"] for row in rows} == {0, 1, 2, 3}


def test_views_differ_only_in_what_stands_around_the_prompt() -> None:
    for view in views.VIEWS:
        drawn = views.cases(view)
        assert drawn == views.cases(view) and [case.id for case in drawn] == [row["id"] for row in views.prompts()]
        for case, row in zip(drawn, views.prompts(), strict=True):
            texts = [message["content"] for message in case.messages]
            assert any(row["prompt"] in text for text in texts) and not any(views.ASK in text for text in texts)
            assert (case.around in views.NARROW) == (view == "narrow")
            assert (case.id, case.around) not in views.NEVER and bool(case.tools) == (view == "tools")
    assert views.cases("system", seed=1) != views.cases("system")


def test_figures() -> None:
    inf = float("inf")
    found = figures.figures([0, 0, 1, 2, 3, 3], [0, 1024, 0, 4096, inf, 0], [0, 0.1, 0, 0.2, 0.3, 0.3], [False] * 6)
    assert found.trivial == 0.5 and found.hard == 0.5 and found.fallbacks == 0
    assert found.pairs == (1 + 1 + 0.5 + 0) / 4 and found.pairs_gain == 1
    x, y = np.array([3.0, 1, 2, 2]), np.array([9.0, 1, 4, 5])
    assert list(figures.ranks(x)) == [4, 1, 2.5, 2.5]
    assert figures.spearman(x, y) > 0.9 and figures.spearman(x, np.zeros(4)) == 0


@pytest.mark.parametrize("view", ["alone", "system", "history", "tools", "harness"])
def test_the_shipped_router_follows_difficulty_whatever_stands_around_the_ask(view: str, tmp_path: Path) -> None:
    with decisions.gateway("prior", 0.5, tmp_path) as running:
        found = decisions.judged(decisions.decide(running, views.cases(view)[::SAMPLE]))
    assert found.rho >= 0.6 and found.pairs >= 0.87
    assert found.trivial <= 0.15 and found.hard >= 0.8 and found.fallbacks <= 0.15

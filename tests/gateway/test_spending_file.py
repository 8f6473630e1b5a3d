"""What budgets have spent is shared by the workers of a host, and outlives them."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from gateway.app import Parts, changed_parts, make_parts
from gateway.config.settings import Settings, parse
from gateway.core.errors import ConfigError
from gateway.routing.prices.pace import Pace
from gateway.routing.prices.spending import PROHIBITIVE, Spending
from gateway.routing.prices.spending_book import Expected
from gateway.serving import stored_files
from gateway.storage.spending_file import IDLE_S, SpendingFile
from tests.gateway.test_prices_in_front import PACE, priced

HOUR, NOW = 3600.0, 7_200_100.0
# The id of a process that no system gives.
NOBODY = 2**30
# A request that surely spends 10.
TEN = Expected(10.0, 10.0)


def spending(file: SpendingFile, target: float = 100.0) -> Spending:
    return Spending(target, HOUR, file, "m")


def test_workers_see_what_the_others_spend_and_reserve(tmp_path: Path) -> None:
    path = tmp_path / "spending.db"
    with_locks = [SpendingFile(path, NOW, process) for process in (1, 2)]  # process 1 always runs
    first, second = map(spending, with_locks)
    for number in range(3):
        first.decided(f"a{number}", TEN, NOW)
        second.decided(f"b{number}", TEN, NOW)
    assert first.reserved() == second.reserved() == 60
    assert first.price(NOW) == second.price(NOW) < PROHIBITIVE, "one price for both"
    for number in range(3):
        first.settled(f"a{number}", 25.0, NOW)
    assert second.spent(NOW) == 75 and second.price(NOW) == first.price(NOW) == PROHIBITIVE
    assert second.price(NOW + HOUR) < PROHIBITIVE, "a new window"
    for file in with_locks:
        file.close()


def test_a_restart_keeps_what_was_spent_and_releases_what_the_dead_reserved(tmp_path: Path) -> None:
    path = tmp_path / "spending.db"
    dead, living = SpendingFile(path, NOW, NOBODY), SpendingFile(path, NOW, 1)
    spending(dead).decided("a", TEN, NOW)
    spending(dead).settled("a", 40.0, NOW)
    spending(dead).decided("b", TEN, NOW)
    spending(living).decided("c", TEN, NOW)
    price = spending(living).price(NOW)
    dead.close()
    after = SpendingFile(path, NOW)
    assert spending(after).spent(NOW) == 40 and spending(after).price(NOW) == price
    assert spending(after).reserved() < 2 * spending(living).reserved(), "that of the living one only"
    assert spending(after, 45.0).price(NOW) == PROHIBITIVE, "another target counts the same"
    after.close()
    living.close()
    late = SpendingFile(path, NOW + 2 * IDLE_S)
    assert spending(late).price(NOW + 2 * IDLE_S) != price, "forgotten"
    late.close()


def test_a_file_that_fails_leaves_each_process_with_what_it_knows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "spending.db"
    file = SpendingFile(path, NOW)
    own = spending(file)
    own.settled("a", 30.0, NOW)
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE spending")
    for number in range(2):
        own.decided(str(number), TEN, NOW)
        own.settled(str(number), 10.0, NOW)
    assert own.spent(NOW) == 50 and caplog.text.count("budgets go on with what this process has spent") == 1
    file.close()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot be used for what budgets have spent"):
        SpendingFile(tmp_path / "folder", NOW)


def pace_of(parts: Parts) -> Pace:
    (pace,) = parts.catalogue.find("pub").setters
    assert isinstance(pace, Pace)
    return pace


def settings(folder: Path, target: int, **pace: str) -> Settings:
    given = priced("http://127.0.0.1:9/v1", {**PACE, "thinking_tokens": target, **pace})
    return parse({**given, "records": {"path": folder / "records.db"}})


def test_neither_a_restart_nor_another_target_begins_a_window_anew(tmp_path: Path) -> None:
    now, budget = time.time(), settings(tmp_path, 300)
    first = make_parts(budget)
    pace_of(first).spending(None, None).settled("a", 280.0, now)
    stored_files.check(budget)
    restarted = make_parts(budget)
    changed = changed_parts(settings(tmp_path, 320), restarted)
    assert changed.live.spending is restarted.live.spending
    for parts, target in ((restarted, 300), (changed, 320)):
        found = pace_of(parts).spending(None, None)
        assert (found.target, found.spent(now)) == (target, 280)
    for parts in (first, restarted):
        assert parts.live.spending is not None
        parts.live.spending.close()
        parts.authenticator.close()


@pytest.mark.parametrize(("of", "together"), [("model", [1, 1, 1, 1]), ("key", [1, 2, 3, 4]), ("team", [1, 1, 2, 2])])
def test_a_budget_is_everybodys_or_of_each_key_or_team(tmp_path: Path, of: str, together: list[int]) -> None:
    parts = make_parts(settings(tmp_path, 300, of=of))
    pace = pace_of(parts)
    senders = (("k1", "a"), ("k2", "a"), ("k3", None), (None, None))
    scopes = [pace.spending(*sender).scope for sender in senders]
    assert [1 + [*dict.fromkeys(scopes)].index(scope) for scope in scopes] == together
    assert parts.live.spending is not None
    parts.live.spending.close()
    parts.authenticator.close()

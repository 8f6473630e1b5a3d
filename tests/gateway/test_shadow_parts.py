"""The parts of shadows by themselves: caps and clocks, the other end of the ladder, and what a judge is worth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gateway.config.learn import LearnSettings
from gateway.core.arm import Arm
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort
from gateway.core.record import Record
from gateway.paired.judgement import JudgeRecord, both_orders, read
from gateway.paired.other_end import other_end
from gateway.paired.shadow_ledger import ShadowCost, ShadowLedger
from gateway.routing.prices.spending_book import MemoryBook, SpendingBook
from gateway.storage.spending_file import SpendingFile
from tests.gateway.keyed import NOON, Clock

DAY = 86_400.0
COST = ShadowCost(100.0, 0.5)


def caps(**given: Any) -> LearnSettings:
    return LearnSettings(shadow=1.0, **{"shadow_tokens": 300.0, "shadow_usd": 10.0, "shadow_running": 9, **given})


class Caps:
    """A ledger with a clock, in one process of a host."""

    def __init__(self, book: SpendingBook, clock: Clock) -> None:
        self.book, self.ledger, self.number = book, ShadowLedger(clock), 0

    def begin(self, limits: LearnSettings, cost: ShadowCost = COST) -> str | None:
        self.number += 1
        return self.ledger.begin(f"r{id(self)}-{self.number}", self.book, limits, cost)

    def run(self, limits: LearnSettings, tokens: int = 100, dollars: float = 0.5) -> str | None:
        """One that takes so much, begun and ended."""
        why = self.begin(limits)
        if why is None:
            record = Record("i", "r", 0.0, "chat", 200, completion_tokens=tokens, cost=dollars)
            self.ledger.spend(record, self.book)
            self.ledger.end(f"r{id(self)}-{self.number}", self.book)
        return why


def test_caps_hold_with_what_runs_counted_as_spent() -> None:
    one = Caps(MemoryBook(), Clock())
    assert [one.begin(caps()) for _ in range(4)] == [None, None, None, "shadow_tokens"]
    dear = Caps(MemoryBook(), Clock())
    assert [dear.begin(caps(shadow_usd=0.9)) for _ in range(2)] == [None, "shadow_usd"]
    assert dear.begin(caps(shadow_usd=0.9), ShadowCost(200.0, 0.4)) is None, "what was refused holds no tokens"
    many = Caps(MemoryBook(), Clock())
    assert [many.begin(caps(shadow_running=1)) for _ in range(2)] == [None, "shadow_running"]
    none = Caps(MemoryBook(), Clock())
    assert none.begin(caps(shadow_tokens=0.0)) == "shadow_tokens" and none.begin(caps(shadow_usd=0.0)) == "shadow_usd"
    assert none.begin(caps(shadow_usd=0.0), ShadowCost(100.0, 0.0)) is None, "what costs nothing is within every cap"
    over = Caps(MemoryBook(), Clock())
    assert over.run(caps(), tokens=5000) is None and over.begin(caps()) == "shadow_tokens"


def test_processes_and_restarts_share_the_day(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "spending.db"
    first = Caps(SpendingFile(path, clock.now, process=1), clock)
    second = Caps(SpendingFile(path, clock.now, process=os.getpid()), clock)
    assert first.run(caps()) is None and second.begin(caps()) is None and first.begin(caps()) is None
    assert first.begin(caps()) == second.begin(caps()) == "shadow_tokens"
    restarted = Caps(SpendingFile(path, clock.now, process=1), clock)
    assert restarted.begin(caps()) is None, "what was running in the process that has ended is reserved no longer"
    assert restarted.begin(caps()) == "shadow_tokens"


def test_a_clock_that_jumps_spends_no_day_twice() -> None:
    clock = Clock(NOON)
    one = Caps(MemoryBook(), clock)

    def left() -> int:
        """How many more the day has room for."""
        count = 0
        while one.run(caps()) is None:
            count += 1
        return count

    assert left() == 3
    clock.now += DAY
    assert left() == 3, "the next day"
    clock.now -= 10
    assert left() == 0, "back before midnight"
    clock.now += 10
    assert left() == 0, "and over it again: still that day"
    clock.now += 365 * DAY
    assert left() == 3
    clock.now -= 365 * DAY
    assert left() == 0, "put back by a year: what was spent there is spent here"
    clock.now += DAY
    assert left() == 3, "and no year passes without shadows"


def test_the_other_end_of_the_ladder() -> None:
    low, high, most = Effort(True, 256), Effort(True, 1024), Effort(True, 4096)
    ladder = Arm("a", (), (NO_THINKING, low, high, most, UNLIMITED))

    def end(done: Effort, arm: Arm = ladder, **bounds: Any) -> Effort | None:
        return other_end(arm, done, bounds.pop("allows", lambda effort: True), **bounds)

    assert end(NO_THINKING) == end(low) == end(high) == most, "and not without limit"
    assert end(most) == end(UNLIMITED) == end(Effort(True, 1025)) == NO_THINKING
    assert end(NO_THINKING, most=high) == high and end(NO_THINKING, most=NO_THINKING) is None
    assert end(NO_THINKING, allows=lambda effort: effort in (NO_THINKING, low)) == low
    assert end(most, allows=lambda effort: effort.think) is None, "the operator wants it to think"
    assert end(NO_THINKING, Arm("b", (), (NO_THINKING, UNLIMITED))) == UNLIMITED
    assert end(UNLIMITED, Arm("b", (), (NO_THINKING, UNLIMITED))) == NO_THINKING
    assert end(NO_THINKING, Arm("c", (), (NO_THINKING,))) is None
    assert end(UNLIMITED, Arm("d", (), (UNLIMITED,))) is None


def test_a_judgement_holds_in_both_orders_or_is_a_tie() -> None:
    words = {
        "A": "first",
        " **B**.": "second",
        "tie": "tie",
        "TIE\n": "tie",
        "A is better.": "first",
        "A is better than B": None,
        "": None,
        "C": None,
    }
    assert {text: read(text) for text in words} == words
    assert both_orders("first", "second") == "first" and both_orders("second", "first") == "second"
    assert both_orders("tie", "tie") == both_orders("first", "tie") == both_orders("tie", "first") == "tie"
    assert both_orders("first", "first") == both_orders("second", "second") == "flipped"
    assert both_orders("first", None) == both_orders(None, "tie") == "invalid"


def test_a_judge_that_looks_at_the_place_alone_is_found_out() -> None:
    always = JudgeRecord()
    results = [always.add("first", "first") for _ in range(19)]
    assert results == ["tie"] * 19 and not always.is_useless, "not known yet"
    always.add("first", "first")
    assert always.position_bias == 0.5 and always.is_useless
    chatter = JudgeRecord()
    assert [chatter.add(None, "first") for _ in range(20)] == [None] * 20 and chatter.is_useless
    sound = JudgeRecord()
    for number in range(100):
        # It prefers the place in four of ten pairs, and decides the others.
        sound.add(*(("first", "first") if number % 10 < 4 else ("first", "second")))
    assert not sound.is_useless and sound.position_bias == pytest.approx(0.2)
    assert JudgeRecord().position_bias is None and not JudgeRecord().is_useless

"""What is said of a judge of free texts, from its verdicts on pairs that verifiers tell apart."""

from __future__ import annotations

from collections import Counter

from gateway.paired.judgement import Judgement, JudgeRecord, both_orders
from loadtests.judging import lines, pairs


def said_of(*verdicts: tuple[Judgement | None, Judgement | None]) -> list[str]:
    record = JudgeRecord()
    for straight, swapped in verdicts:
        record.add(straight, swapped)
    return [*lines(record, Counter(both_orders(*one) for one in verdicts))]


def test_each_pair_has_one_answer_that_the_verifier_refuses() -> None:
    found = [*pairs(3, 20)]
    assert len(found) > 15 and all(one.right != one.wrong and one.question for one in found)
    assert [*pairs(3, 20)] == found


def test_a_judge_that_always_says_a_is_at_chance_and_not_used() -> None:
    counts, agreement, bias, used = said_of(*[("first", "first")] * 30)
    assert counts == "30 pairs: 30 flipped" and "0.500 [0.332, 0.668] of 30 pairs" in agreement
    assert bias == "position bias +0.500" and used.startswith("not used")


def test_a_judge_that_is_right_is_used_and_one_without_form_is_not() -> None:
    _, agreement, bias, used = said_of(*[("first", "second")] * 30)
    assert "1.000 [0.886, 1.000]" in agreement and bias == "position bias +0.000" and used.startswith("used")
    _, agreement, bias, used = said_of((None, "first"))
    assert "of 0 pairs" in agreement and used.startswith("not used")

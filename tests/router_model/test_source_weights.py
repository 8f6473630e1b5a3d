"""What outcomes of each source are worth, and how much of a difference between two answers is chance."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from router_model.learning.natural_disagreement import Disagreement, changed_by_thinking
from router_model.learning.source_weights import PRIOR, Claim, SourceWeight, kind_of, source_weights


def claims_of(n: int, right: float, says: dict[str, Callable[[random.Random, int], float | None]]) -> list[Claim]:
    """A verifier's scores of `n` answers, of which the share `right` is right, and what others say of them."""
    chance = random.Random(7)
    found = []
    for number in range(n):
        truth = int(chance.random() < right)
        found.append(Claim(f"r{number}", "verifier:exact", float(truth)))
        for source, say in says.items():
            score = say(chance, truth)
            if score is not None:
                found.append(Claim(f"r{number}", source, score))
    return found


def weight(n: int, right: float, say: Callable[[random.Random, int], float | None], source: str) -> SourceWeight:
    return source_weights(claims_of(n, right, {source: say}))[source]


def flips(share: float) -> Callable[[random.Random, int], float]:
    return lambda chance, truth: float(truth ^ (chance.random() < share))


def test_a_source_counts_by_what_it_knows_beyond_chance() -> None:
    perfect = weight(2000, 0.7, flips(0.0), "person")
    assert perfect.agreement == 1 and perfect.weight > 0.99
    noisy = weight(4000, 0.5, flips(0.2), "person")
    assert noisy.weight == pytest.approx(0.6, abs=0.05), "one in five wrong leaves 1 - 2 * .2 of what is learned"
    always = weight(2000, 0.9, lambda chance, truth: 1.0, "person")
    assert always.agreement == pytest.approx(0.9, abs=0.03) and always.weight < 0.02, "it agrees by chance alone"
    opposite = weight(500, 0.5, flips(1.0), "implicit:schema")
    assert opposite.agreement == 0 and opposite.weight == pytest.approx(0.3 * 20 / 520)


def test_a_sign_that_only_says_bad_counts_by_how_often_that_is_true() -> None:
    sign = weight(4000, 0.7, lambda chance, truth: 0.0 if not truth and chance.random() < 0.5 else None, "implicit:x")
    assert sign.agreement == 1 and sign.weight > 0.97
    empty = weight(4000, 0.7, lambda chance, truth: 0.0 if chance.random() < 0.2 else None, "implicit:x")
    assert empty.weight < 0.06, "it is bad as often as anything is"


def test_little_evidence_leaves_the_weight_where_it_was_set() -> None:
    assert source_weights([Claim("r", "shadow", 1.0)])["shadow"] == SourceWeight("shadow", PRIOR["shadow"], 0)
    few = weight(2, 0.5, flips(1.0), "person")
    assert few.weight == pytest.approx(0.8 * 20 / 22)
    assert source_weights([]) == {}
    alike = weight(50, 1.0, flips(0.0), "person")
    assert alike.weight == PRIOR["person"], (
        "where all is right, nothing tells a source that knows from one that guesses"
    )


def test_verifiers_are_measured_by_nobody_and_others_only_by_better_ones() -> None:
    given = claims_of(300, 0.5, {"person": flips(0.1), "shadow": flips(0.3), "implicit:empty": flips(0.5)})
    weights = source_weights(given)
    assert weights["verifier:exact"] == SourceWeight("verifier:exact", 1.0, 0)
    assert weights["person"].weight > weights["shadow"].weight > weights["implicit:empty"].weight
    without = source_weights([one for one in given if kind_of(one.source) != "verifier"])
    assert without["person"].pairs == 0 and without["shadow"].pairs == 300


def test_a_judge_counts_only_once_it_is_surely_better_than_the_level() -> None:
    assert source_weights([Claim("r", "shadow:judge", 1.0)])["shadow:judge"].weight == 0
    assert weight(30, 0.5, flips(0.0), "shadow:judge").weight > 0
    assert weight(8, 0.5, flips(0.0), "shadow:judge").weight == 0, "seven in ten may be chance"
    assert weight(1000, 0.5, flips(0.4), "shadow:judge").weight == 0


def test_contradictions_of_better_sources_agree_with_both_by_half() -> None:
    given = [Claim("r", "verifier:exact", 1.0), Claim("r", "verifier:regex", 0.0), Claim("r", "person", 1.0)]
    found = source_weights(given)["person"]
    assert (found.pairs, found.agreement, found.chance) == (1, 0.5, 0.5)
    twice = [Claim("r", "verifier:exact", 1.0), Claim("r", "person", 1.0), Claim("r", "person", 0.0)]
    assert source_weights(twice)["person"].agreement == 0.5


def test_a_source_belongs_to_its_kind() -> None:
    kinds = {"person:session": "person", "shadow:judge": "shadow:judge", "shadow": "shadow", "shadow:x": "shadow"}
    assert {source: kind_of(source) for source in kinds} == kinds
    assert kind_of("verifier:tests") == "verifier" and kind_of("nobody") == kind_of("personal") == "implicit"


def test_what_would_differ_anyway_is_taken_off() -> None:
    found = changed_by_thinking(Disagreement(60, 100), Disagreement(20, 100))
    assert found.estimate == pytest.approx(0.5)
    assert found.ci[0] < 0.5 < found.ci[1] and found.ci[1] - found.ci[0] < 0.36
    assert changed_by_thinking(Disagreement(10, 100), Disagreement(20, 100)).estimate == 0
    nothing = changed_by_thinking(Disagreement(0, 0), Disagreement(0, 0))
    assert (nothing.estimate, nothing.ci) == (0.0, (0.0, 1.0))
    unmeasured = changed_by_thinking(Disagreement(50, 100), Disagreement(0, 0))
    assert unmeasured.estimate == 0.5 and unmeasured.ci[0] == 0
    assert changed_by_thinking(Disagreement(9, 9), Disagreement(9, 9)) == (0.0, (0.0, 1.0))
    for wrong in (Disagreement(3, 2), Disagreement(-1, 2)):
        with pytest.raises(ValueError, match="same_effort"):
            changed_by_thinking(Disagreement(1, 2), wrong)


def test_its_interval_holds_as_often_as_it_says() -> None:
    chance, inside, runs = random.Random(3), 0, 400
    for _ in range(runs):
        changed, same = 0.25, 0.15
        different = 1 - (1 - changed) * (1 - same)
        other = sum(chance.random() < different for _ in range(160))
        own = sum(chance.random() < same for _ in range(40))
        low, high = changed_by_thinking(Disagreement(other, 160), Disagreement(own, 40)).ci
        inside += low <= changed <= high
    assert inside / runs >= 0.95

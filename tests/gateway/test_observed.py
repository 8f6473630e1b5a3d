"""What is learned from records: which answers count, and what pairs of them say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gateway.commands.observed import EQUAL, Observed, observed
from gateway.core.deployment import Deployment
from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record
from gateway.core.record_query import RatedRecord
from gateway.families.table import family
from router_model.learning.pairs import PairKnowledge, pair_knowledge
from router_model.model import kept_features
from router_model.model.request_encoding import EncodedRequest

DEP = Deployment("dep", ("http://127.0.0.1:9/v1",), "m", family("qwen3"), router_name="tiny")

Said = tuple[str, str, float]


def features(number: float, encoding: str = "abc") -> str:
    return kept_features.dump(encoding, EncodedRequest(np.array([number, 1.0], np.float32), 0.5, 0.1))


def rated(id: str, *said: tuple[str, str, float], **fields: Any) -> RatedRecord:
    usual: dict[str, Any] = {"deployment": "dep", "applied": "none", "features": features(1.0), "completion_tokens": 5}
    record = Record(id, id, 1.0, "chat", 200)._replace(**{**usual, **fields})
    return RatedRecord(record, tuple(OutcomeRow(id, metric, source, score, 2.0) for metric, source, score in said))


def pair(id: str, changed: float, *more: Said, then: tuple[Said, ...] = ()) -> list[RatedRecord]:
    again = rated(f"{id}-again", *then, applied="unlimited", paired_with=id, features=None)
    return [rated(id, ("changed", "shadow", changed), *more, features=features(len(id))), again]


def seen(*rows: RatedRecord, **how: Any) -> Observed:
    return observed(rows, "abc", {"dep": DEP}, **how)


def test_what_cannot_be_used_is_counted_by_reason() -> None:
    good = ("outcome", "person", 1.0)
    found = seen(
        rated("used", good),
        rated("nobody said"),
        rated("failed", good, status=500),
        rated("no features", good, features=None),
        rated("damaged", good, features="abc.!"),
        rated("other router", good, features=features(1.0, "xyz")),
        rated("gone", good, deployment="old"),
        rated("no effort", good, applied=None),
        rated("opted out", good, key="quiet"),
        rated("half", ("outcome", "person", math.nan)),
        learns=lambda key: key != "quiet",
    )
    assert [one.request for one in found.observations] == ["used"]
    assert found.left_out == {
        "no outcome is known": 2,
        "they failed": 1,
        "no features were kept": 2,
        "another router has read them": 1,
        "their deployment is gone": 1,
        "nothing was decided": 1,
        "their key has opted out": 1,
    }


def test_one_prompt_many_times_takes_no_memory() -> None:
    rows = (rated(str(i), ("outcome", "person", 1.0)) for i in range(3 * EQUAL))
    found = observed(rows, "abc", {"dep": DEP})
    assert len(found.observations) == EQUAL and found.left_out["the same prompt came many times"] == 2 * EQUAL


def test_pairs_say_how_good_answers_are_where_nobody_else_does() -> None:
    found = seen(*pair("same", 0.0), *pair("other", 1.0), *pair("judged", 1.0, ("outcome", "verifier:x", 1.0)))
    right = {(one.request, one.think): one.right for one in found.observations}
    assert right["same", False] == right["same", True] == 1.0
    assert right["other", False] == pytest.approx(0.1) and right["other", True] == pytest.approx(0.9)
    assert right["judged", False] == 1.0, "a verifier knows better"
    assert {one.background for one in found.observations if one.think} == {True}
    assert found.counts == {"shadow": 3, "verifier:x": 1}


def test_shadows_are_measured_by_verifiers_of_both_answers() -> None:
    rows: list[RatedRecord] = []
    for i in range(40):
        own, other = ("outcome", "verifier:x", float(not i % 2)), ("outcome", "verifier:x", 1.0)
        rows += pair(f"p{i}", float(i % 2), own, then=(other,))
    found = seen(*rows)
    assert found.weights["shadow"].pairs == 40 and found.weights["shadow"].agreement == 1.0
    assert found.weights["shadow"].weight > 0.8


def test_what_differs_by_chance_alone_is_taken_off() -> None:
    assert PairKnowledge().scores(0.0) == (1.0, 1.0)
    by_chance = pair_knowledge([1.0, 0.0], [1.0, 0.0], [], [])
    assert by_chance.by_thinking == 0.0 and by_chance.scores(1.0) == (1.0, 1.0)
    harmful = pair_knowledge([1.0] * 50, [0.0] * 50, [-1.0] * 90, [0.5] * 20)
    none, think = harmful.scores(1.0)
    assert none > think and none <= 0.5, "where thinking makes answers worse, not thinking is better"

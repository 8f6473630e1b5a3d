"""The published attacks keep the task, count what they move, and are not what the router was hardened with."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from router_model.evaluation import adversarial

QUESTION = "Add these: 12 and 55 please"
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": QUESTION},
]


def test_every_attack_has_a_kind() -> None:
    kinds = (*adversarial.INFLATING, *adversarial.DEFLATING, *adversarial.NOISE)
    assert sorted(kinds) == sorted(adversarial.attacks()) and len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("name", [*adversarial.INFLATING, *adversarial.DEFLATING, "after thanks"])
def test_attacks_keep_the_question_and_the_original(name: str) -> None:
    before = [dict(message) for message in TALK]
    attacked = adversarial.attacks()[name](TALK, random.Random(0))
    assert before == TALK and attacked != TALK
    assert attacked[-1]["role"] == "user" and QUESTION in attacked[-1]["content"]


@pytest.mark.parametrize("name", ["typos", "spaces", "capitals"])
def test_noise_keeps_the_numbers(name: str) -> None:
    attacked = adversarial.attacks()[name](TALK, random.Random(0))[-1]["content"]
    assert [word for word in attacked.split() if word.isdigit()] == ["12", "55"]


def test_conversations_without_text_are_left_alone() -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    assert adversarial.attacks()["before steps"](parts, random.Random(0)) == parts
    assert adversarial.attacks()["before steps"]([], random.Random(0)) == []


def test_rates_of_a_router_that_goes_by_length() -> None:
    def by_length(messages: adversarial.Messages, tools: Sequence[Mapping[str, Any]] | None) -> int:
        return int(sum(len(str(message["content"])) for message in messages) > 60)

    rates = adversarial.rates(by_length, [([{"role": "user", "content": QUESTION}], None)])
    assert rates.upgrades["document"] == 1 and rates.upgrades["typos"] == 0
    assert rates.mean(adversarial.INFLATING) >= 0.9 and rates.mean(adversarial.INFLATING, down=True) == 0
    assert rates.worst()[1] == 1


def test_training_meets_other_words_than_those_published() -> None:
    rng = random.Random(0)
    met = " ".join(str(adversarial.attacked(TALK[-1:], rng)) for _ in range(300))
    published = [
        str(attack([{"role": "user", "content": ""}], random.Random(0))[-1]["content"]).strip()
        for name, attack in adversarial.attacks().items()
        if name not in adversarial.NOISE
    ]
    assert not [words for words in published if words and words in met]


def test_tampered_copies_are_the_same_for_the_same_seed() -> None:
    assert adversarial.attacked(TALK, random.Random(3)) == adversarial.attacked(TALK, random.Random(3))

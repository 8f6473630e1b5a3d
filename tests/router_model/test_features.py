"""Features of requests: stable, complete and not put off by odd content."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from router_model.features import BUCKETS, DENSE_NAMES, FEW, bag, featurize

TOOL = {"type": "function", "function": {"name": "get_price", "description": "Price of an item"}}


def counts(text: str) -> dict[str, float]:
    dense = featurize([{"role": "user", "content": text}]).dense
    return {name: round(float(np.expm1(value)), 2) for name, value in zip(DENSE_NAMES, dense, strict=True)}


def test_structure_is_counted() -> None:
    found = counts("Add 12 and 3456.\n- Ada\n- Bob (is B)\n\nAdd 12?")
    assert found["last numbers"] == 3
    assert found["last longest number"] == 4
    assert found["last shortest number"] == 2
    assert found["last top number"] == 2
    assert found["last list lines"] == 2
    assert found["last blank lines"] == 1
    assert found["last bracket depth"] == 1
    assert found["last capitalised"] == 5
    assert found["last single capitals"] == 1
    assert found["last count '?'"] == 1
    assert found["rest words"] == 0


def test_digits_do_not_change_the_words() -> None:
    one, other = (featurize([{"role": "user", "content": f"Add {n} please"}]) for n in (47, 91))
    assert np.array_equal(one.buckets, other.buckets)


def test_turns_and_tools_are_seen() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "What does it cost?"}, {"type": "image_url", "image_url": {}}],
        },
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "get_price", "arguments": "{}"}}]},
        {"role": "tool", "content": "12"},
    ]
    dense = featurize(messages, [TOOL]).dense
    found = {name: round(float(np.expm1(value))) for name, value in zip(DENSE_NAMES, dense, strict=True)}
    assert (found["messages"], found["tools"], found["tool calls"], found["tool results"]) == (4, 1, 1, 1)
    assert (found["system"], found["ends with tool"], found["parts"]) == (1, 1, 2)
    assert found["last words"] == 5


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user"}],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": "\udcff lone"}],
        [{"role": "user", "content": [None, 3, {"text": None}]}],
        [{"role": "assistant", "tool_calls": [None, {}]}],
        [{"content": {"a": 1}}],
        [{"role": "user", "content": "x" * 300_000}],
    ],
)
def test_odd_content_is_no_error(messages: list[dict[str, Any]]) -> None:
    found = featurize(messages)
    assert found.dense.shape == (len(DENSE_NAMES),)
    assert np.isfinite(found.dense).all() and np.isfinite(found.weights).all()


def test_hashes_do_not_depend_on_the_process() -> None:
    script = (
        "from router_model.features import featurize\n"
        "f = featurize([{'role': 'user', 'content': 'Swap A and B, then add 12.'}])\n"
        "print(f.buckets.tolist(), f.weights.tolist(), f.dense.tolist())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


@pytest.mark.parametrize("repeats", [1, 3, FEW])
def test_few_and_many_hashes_are_weighed_alike(repeats: int) -> None:
    hashes = np.random.default_rng(3).integers(0, 2**63, 40, np.uint64)
    alone = {int(h): int(bag(np.array([h]))[0][0]) for h in hashes}
    assert len(set(alone.values())) == 40, "one bucket for each"
    counts = np.arange(1, 41) * repeats
    buckets, weights = bag(np.repeat(hashes, counts))
    expected = {alone[int(h)]: np.log1p(count) for h, count in zip(hashes, counts, strict=True)}
    norm = np.sqrt(sum(value**2 for value in expected.values()))
    assert buckets.tolist() == sorted(expected) and max(buckets) < BUCKETS
    assert np.allclose(weights, [expected[int(b)] / norm for b in buckets], rtol=1e-6)


def test_no_hashes_make_an_empty_bag() -> None:
    buckets, weights = bag(np.zeros(0, np.uint64))
    assert len(buckets) == len(weights) == 0

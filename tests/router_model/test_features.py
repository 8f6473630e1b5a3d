"""Features of requests: stable, complete and not put off by odd content."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.features.request import DENSE_NAMES, LONGEST, featurize, vocabulary

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
    assert one.terms == other.terms == {b"add", b"00", b"please", b"add 00", b"00 please"}


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
    assert len(found.dense) == len(DENSE_NAMES) and np.isfinite(found.dense).all()


def test_views_do_not_share_terms() -> None:
    messages = [{"role": "system", "content": "one"}, {"role": "assistant", "content": "two"}]
    found = featurize([*messages, {"role": "user", "content": "three"}], [TOOL]).terms
    assert {b"three", b"\x01two", b"\x02one", b"\x03price"} <= found
    assert not {b"one", b"two", b"price"} & found


def test_of_a_long_text_both_ends_are_read() -> None:
    found = featurize([{"role": "user", "content": "first " + "word " * LONGEST + "last"}])
    assert {b"first", b"last", b"word word"} <= found.terms
    assert np.expm1(found.dense[0]) <= LONGEST + 1.5


@settings(derandomize=True, deadline=None)
@given(st.text())
def test_the_counts_of_any_text_fit_together(text: str) -> None:
    found = counts(text)
    assert found["last words"] >= found["last distinct words"] >= (found["last words"] > 0)
    assert found["last capitalised"] >= found["last single capitals"]
    assert found["last bytes"] >= found["last letters"] + found["last digits"]
    assert found["last numbers"] >= found["last long numbers"]


def test_a_vocabulary_has_the_terms_that_enough_requests_use() -> None:
    terms = [{b"a", b"b"}, {b"b", b"c"}, {b"c", b"b"}]
    assert vocabulary(terms, 2) == [b"b", b"c"]


def test_forecasts_do_not_depend_on_the_process() -> None:
    script = (
        "from router_model.model import predict\n"
        "print(predict.load('tiny').forecast([{'role': 'user', 'content': 'Swap A and B, then add 12.'}]))"
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


def test_what_tools_returned_before_the_question_is_no_part_of_it() -> None:
    """Whoever writes a page that is searched does not set the effort of the question after it."""
    question = {"role": "user", "content": "What is 17 + 25?"}
    call = {"id": "c", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    before = [
        {"role": "user", "content": "Look it up."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "Prove [[4, 1], [2, 3]] by 48,213 eigenvalues: " * 50},
    ]
    assert featurize([*before, question]) == featurize([before[0], question])
    # What came since is what is being answered from.
    assert featurize([question, *before[1:]]) != featurize([question])
    assert featurize(before[1:]).dense[DENSE_NAMES.index("last digits")] > 0


def test_what_cannot_be_seen_changes_nothing() -> None:
    plain = featurize([{"role": "user", "content": "Add 47 and 91, please"}])
    for hidden in ("\u200b", "\u2060", "\u00ad", "\ufeff", "\u202e", "\U000e0041"):
        text = f"Add 4{hidden}7 a{hidden}nd 91{hidden}, please"
        assert featurize([{"role": "user", "content": text}]) == plain
    wide = "\uff21\uff44\uff44 \uff14\uff17 and\u00a0\uff19\uff11, please"
    assert featurize([{"role": "user", "content": wide}]) == plain
    assert featurize([{"role": "user", "content": "Füge 47 und 91 zusammen"}]) != plain

"""What all requests of a key have in common is told from what changes: bounded, by key, and never the whole request."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from gateway.core.call import Call
from gateway.routing import templates
from gateway.routing.templates import LEAST_REQUESTS, MOST_HASHES, MOST_PLACES, WINDOW, SentenceCounts, Templates
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend
from tests.suite.decisions import settings

RULES = "".join(f"Rule number {name} says nothing of interest to anyone. " for name in "abcdefghijklmnop")
TEMPLATE = f"Label the message as spam or fine.\n{RULES}\nNever explain.\nMessage:\n"


def call(text: str, key: str = "k", model: str = "m") -> Call:
    return Call("r", "chat", model, {"model": model, "messages": [{"role": "user", "content": text}]}, key=key)


def text_of(judged: Call) -> str:
    text = judged.body["messages"][-1]["content"]
    assert isinstance(text, str)
    return text


def taught(template: str, requests: int = LEAST_REQUESTS) -> Templates:
    known = Templates()
    for i in range(requests):
        known.learn(call(f"{template}item {i}, the {i * i}th of its kind"))
    return known


def test_the_item_and_what_is_done_with_it_are_what_is_read() -> None:
    item = "Win a prize!!! Answer now\nor never"
    asked = call(TEMPLATE + item)
    known = taught(TEMPLATE)
    read = text_of(known.judged(asked))
    assert read.startswith("Label the message as spam or fine.") and read.endswith(item)
    assert "Message:" in read and "Rule number h" not in read and len(read) < 300 < len(TEMPLATE)
    # The request itself is as it was, and so is what is read before enough is known, or of another key or model.
    assert text_of(asked) == TEMPLATE + item
    for other in (call(TEMPLATE + item, key="other"), call(TEMPLATE + item, model="other")):
        assert known.judged(other) is other
    assert taught(TEMPLATE, LEAST_REQUESTS - 1).judged(asked) is asked


def test_short_templates_are_read_whole() -> None:
    asked = call("Translate into French, names stay as they are:\nGood morning")
    assert taught("Translate into French, names stay as they are:\n").judged(asked) is asked


def test_one_prompt_over_and_over_is_read_as_the_first_time() -> None:
    known, asked = Templates(), call(TEMPLATE + "the very same")
    sizes = set()
    for _ in range(2_000):
        assert known.judged(asked) is asked
        known.learn(asked)
        sizes.add(len(known._places[("k", "m")]._counts))
    assert len(sizes) <= 2


def test_what_is_kept_is_bounded_and_holds_no_text() -> None:
    counts = SentenceCounts()
    for i in range(3 * WINDOW):
        counts.learn("".join(f"Word {i} {j}.\n" for j in range(60)))
        assert len(counts._counts) <= MOST_HASHES
    assert all(isinstance(one, int) for pair in counts._counts.items() for one in pair)
    assert sys.getsizeof(counts._counts) < 100_000
    known = Templates()
    for i in range(2 * MOST_PLACES):
        known.learn(call("hi", key=str(i)))
    assert len(known._places) == MOST_PLACES


def test_a_new_template_takes_the_place_of_the_old_one() -> None:
    known = taught(TEMPLATE, WINDOW)
    new = TEMPLATE.replace("Rule", "Law").replace("spam", "junk")
    for i in range(4 * WINDOW):
        known.learn(call(f"{new}item {i}"))
    assert "Law number h" not in text_of(known.judged(call(f"{new}what now")))
    assert "Rule number h" in text_of(known.judged(call(f"{TEMPLATE}what now")))


def test_hostile_texts_take_bounded_work() -> None:
    counts = SentenceCounts()
    for unit in (".", "a.", "\n", ":\n", "a b c "):
        text = unit * (60_000 // len(unit))
        counts.learn(text)
        assert counts.shortened(text) == text
    assert len(list(templates._sentences("a.\n" * 5_000))) == templates.MOST_SENTENCES + 1


def test_served_requests_are_learned_from_and_explained_ones_are_not(tmp_path: Path) -> None:
    with ScriptedBackend() as backend:
        given = settings("prior", 0.5) | {"learn": {"templates": True}}
        given["deployments"]["hybrid"]["url"] = backend.url
        with RunningGateway(given, tmp_path) as gateway:

            def ask(text: str, path: str = "/v1/chat/completions") -> Any:
                body = {"model": "assistant", "messages": [{"role": "user", "content": text}]}
                answer = gateway.post(body, path)
                assert answer.status_code == 200, answer.text
                return answer.json()

            def forecast(text: str) -> Any:
                return [one["p_correct"] for one in ask(text, "/v1/decide")["efforts"]]

            item = "Prove that there are infinitely many primes."
            before = forecast(TEMPLATE + item)
            for i in range(LEAST_REQUESTS):
                assert forecast(TEMPLATE + item) == before
                ask(f"{TEMPLATE}item {i}")
            read = text_of(taught(TEMPLATE).judged(call(TEMPLATE + item)))
            assert forecast(TEMPLATE + item) == forecast(read) != before

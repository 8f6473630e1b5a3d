"""What a key's requests have in common, learned in this process so that what changes can be told from it.

Kept are hashes of sentences with counts, no text, and no time of day: a clock that jumps changes nothing.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby, islice
from threading import Lock
from typing import Any

from gateway.core.call import Call
from router_model.features.ask import find_ask

# Pairs of a key and a model that are remembered, the latest, and hashes of each.
MOST_PLACES = 256
MOST_HASHES = 512
# Sentences of a request that are looked at, from its beginning and from its end.
MOST_SENTENCES = 200
# A sentence is a template's after this many requests, if this share of the latest had it.
LEAST_REQUESTS = 32
SHARE = 0.9
# Counts are halved when they reach this, so that a changed template is forgotten.
WINDOW = 256
# What is constant says what the work is, so this many characters of its beginning and of its end are always judged.
KEPT = 80
_SENTENCE = re.compile(
    "[^\n.!?:\u3002\uff01\uff1f\uff1a]+[\n.!?:\u3002\uff01\uff1f\uff1a]*|[\n.!?:\u3002\uff01\uff1f\uff1a]+"
)


class SentenceCounts:
    """How many of the latest requests of one place had each sentence, by its hash. Not safe between threads."""

    def __init__(self) -> None:
        self._requests = 0
        self._counts: dict[int, int] = {}

    def learn(self, text: str) -> None:
        counts = self._counts
        for one in {hash(sentence.strip()) for sentence in _sentences(text)}:
            known = counts.get(one)
            if known is not None or len(counts) < MOST_HASHES:
                counts[one] = (known or 0) + 1
        self._requests += 1
        if self._requests >= WINDOW or len(counts) >= MOST_HASHES:
            self._forget()

    def _forget(self) -> None:
        """Halve all counts; what was seen once is dropped, and so is what only few requests had if there is no room."""
        self._requests //= 2
        self._counts = {one: count // 2 for one, count in self._counts.items() if count > 1}

    def shortened(self, text: str) -> str:
        """The text with the middle of a long template left out; unchanged while none is known, or all of it is one."""
        if self._requests < LEAST_REQUESTS or len(text) <= 2 * KEPT:
            return text
        least = SHARE * self._requests
        parts = [
            (constant, "".join(group))
            for constant, group in groupby(
                _sentences(text), key=lambda sentence: self._counts.get(hash(sentence.strip()), 0) >= least
            )
        ]
        total = sum(len(part) for constant, part in parts if constant)
        if total <= 2 * KEPT or total >= len(text):
            return text
        return "\n".join(part.strip() for part in _around(parts) if part.strip())


def _sentences(text: str) -> Iterator[str]:
    """The sentences of a text, or those of its beginning, its middle as one, and those of its end."""
    found = list(islice(_SENTENCE.findall(text), 100_000))
    if len(found) <= MOST_SENTENCES:
        yield from found
        return
    half = MOST_SENTENCES // 2
    yield from found[:half]
    yield "".join(found[half:-half])
    yield from found[-half:]


def _around(parts: list[tuple[bool, str]]) -> Iterator[str]:
    """All that changes, the template's beginning, and what is right before the first change."""
    change = next(i for i, (constant, _) in enumerate(parts) if not constant)
    first = next(i for i, (constant, _) in enumerate(parts) if constant)
    for i, (constant, part) in enumerate(parts):
        if not constant:
            yield part
        elif i == first and i == change - 1:
            yield part if len(part) <= 2 * KEPT else f"{part[:KEPT]}\n{part[-KEPT:]}"
        elif i == first:
            yield part[:KEPT]
        elif i == change - 1:
            yield part[-KEPT:]


class Templates:
    """The constant texts of all keys and models, each apart: no key's traffic changes what another's gets."""

    def __init__(self) -> None:
        self._places: OrderedDict[tuple[str | None, str], SentenceCounts] = OrderedDict()
        self._lock = Lock()

    def learn(self, call: Call) -> None:
        """One more request, once it is decided."""
        text = find_ask(call.body["messages"]).text
        with self._lock:
            self._place(call).learn(text)

    def judged(self, call: Call) -> Call:
        """The call as a router is to read it: its ask without the middle of what all of this key's requests say."""
        ask = find_ask(call.body["messages"])
        with self._lock:
            known = self._places.get((call.key, call.model))
            text = ask.text if known is None else known.shortened(ask.text)
        if text == ask.text:
            return call
        return replace(call, body=call.body | {"messages": _with_ask(call.body["messages"], ask.place, text)})

    def _place(self, call: Call) -> SentenceCounts:
        where = call.key, call.model
        found = self._places.setdefault(where, SentenceCounts())
        self._places.move_to_end(where)
        if len(self._places) > MOST_PLACES:
            self._places.popitem(last=False)
        return found


def _with_ask(messages: list[dict[str, Any]], place: int, text: str) -> list[dict[str, Any]]:
    return [*messages[:place], {"role": "user", "content": text}, *messages[place + 1 :]]

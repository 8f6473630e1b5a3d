"""Short questions with one right answer each, for collecting probes of any chat model.

All are made here from rules and from facts that everybody knows, so that nothing of them has a licence of its own:
arithmetic, extraction, labelling and short questions, easy and hard, in a few wordings.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import NamedTuple

from router_model.adapting.probe_facts import CAPITALS, LANGUAGES, NAMES, OPPOSITES, REVIEWS, SYMBOLS, THINGS


class Question(NamedTuple):
    """`answer` is a whole number or a phrase; `kind` groups questions that models find alike."""

    kind: str
    text: str
    answer: str


def is_right(question: Question, answer: str) -> bool:
    """Whether the last number of the answer, or any of its words, is the expected one."""
    numbers = re.findall(r"-?\d+", answer.replace(",", ""))
    if question.answer.lstrip("-").isdigit():
        return bool(numbers) and int(numbers[-1]) == int(question.answer)
    return re.search(rf"(?<!\w){re.escape(question.answer.lower())}(?!\w)", answer.lower()) is not None


def questions(seed: int, count: int) -> list[Question]:
    """`count` different questions, spread evenly over the kinds."""
    draw, found = random.Random(seed), dict[str, Question]()
    while len(found) < count:
        for kind, make in KINDS.items():
            text, answer = make(draw)
            found.setdefault(text, Question(kind, text, answer))
    return list(found.values())[:count]


def _number(draw: random.Random) -> int:
    return draw.randrange(10 ** draw.choice((1, 1, 2, 2, 3)))


def _sum(draw: random.Random) -> tuple[str, str]:
    a, b = _number(draw), _number(draw)
    wording = draw.choice(("What is {} + {}? Answer with the number only.", "Compute {} plus {}. Only the number."))
    return wording.format(a, b), str(a + b)


def _product(draw: random.Random) -> tuple[str, str]:
    a, b = draw.randrange(2, 13), draw.randrange(2, draw.choice((6, 13, 60)))
    return f"What is {a} times {b}? Answer with the number only.", str(a * b)


def _story(draw: random.Random) -> tuple[str, str]:
    name, thing = draw.choice(NAMES), draw.choice(THINGS)
    has, gets, gives = draw.randrange(3, 20), draw.randrange(2, 15), draw.randrange(1, 5)
    text = f"{name} has {has} {thing}, buys {gets} more and gives away {gives}. How many {thing} does {name} have now?"
    return f"{text} Answer with the number only.", str(has + gets - gives)


def _largest(draw: random.Random) -> tuple[str, str]:
    numbers = [draw.randrange(10, 1000) for _ in range(draw.choice((2, 3, 5, 8)))]
    listed = ", ".join(map(str, numbers))
    return f"Which of these numbers is the largest: {listed}? Answer with the number only.", str(max(numbers))


def _order(draw: random.Random) -> tuple[str, str]:
    name, number = draw.choice(NAMES), draw.randrange(10000, 99999)
    days, thing = draw.randrange(2, 9), draw.choice(THINGS)
    text = f"Hello, this is {name}. I ordered {thing} {days} days ago, order {number}, and nothing has arrived."
    return f"{text}\n\nWhat is the order number? Answer with the number only.", str(number)


def _sender(draw: random.Random) -> tuple[str, str]:
    sender, other = draw.sample(NAMES, 2)
    text = f"Dear {other},\n\nthank you for the {draw.choice(THINGS)}. See you on Friday.\n\nBest wishes,\n{sender}"
    return f"{text}\n\nWho wrote this letter? Answer with the name only.", sender


def _sentiment(draw: random.Random) -> tuple[str, str]:
    label = draw.choice(sorted(REVIEWS))
    review = draw.choice(REVIEWS[label]).format(draw.choice(THINGS))
    return f'Is this review positive or negative? "{review}" Answer with one word.', label


def _language(draw: random.Random) -> tuple[str, str]:
    language = draw.choice(sorted(LANGUAGES))
    return f'In which language is this: "{draw.choice(LANGUAGES[language])}" Answer with one word.', language


def _fact(table: dict[str, str], wording: str) -> Callable[[random.Random], tuple[str, str]]:
    def make(draw: random.Random) -> tuple[str, str]:
        subject = draw.choice(sorted(table))
        ending = draw.choice((" Answer with one word.", " One word, please.", " Only the word."))
        return wording.format(subject) + ending, table[subject]

    return make


KINDS: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "sum": _sum,
    "product": _product,
    "story": _story,
    "largest": _largest,
    "order": _order,
    "sender": _sender,
    "sentiment": _sentiment,
    "language": _language,
    "capital": _fact(CAPITALS, "What is the capital of {}?"),
    "opposite": _fact(OPPOSITES, "What is the opposite of '{}'?"),
    "symbol": _fact(SYMBOLS, "Which chemical element has the symbol {}?"),
}

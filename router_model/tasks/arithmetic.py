"""Reasoning over numbers: written addition, subtraction and multiplication, running totals and a dial.

Scratchpads put all operands of a step next to each other on the line: a small transformer either looks a value up or
applies a table, not both in one token.
"""

from __future__ import annotations

import random

from router_model.tasks.prompt import Problem, Task
from router_model.tasks.words import GOODS, NAMES


def _number(rng: random.Random, digits: int) -> int:
    return rng.randint(10 ** (digits - 1) if digits > 1 else 0, 10**digits - 1)


def _reversed_digits(number: int, width: int) -> list[int]:
    return [int(digit) for digit in reversed(str(number).rjust(width, "0"))]


def build_add(rng: random.Random, level: int) -> Problem:
    a, b = _number(rng, level), _number(rng, level)
    lines, carry = [f"{a}+{b}"], 0
    for x, y in zip(_reversed_digits(a, level), _reversed_digits(b, level), strict=True):
        total = x + y + carry
        lines.append(f"{x}+{y}+{carry}={total // 10}{total % 10}")
        carry = total // 10
    return Problem({"a": str(a), "b": str(b)}, "\n".join(lines), str(a + b), f"add {a} {b}")


def build_sub(rng: random.Random, level: int) -> Problem:
    b, a = sorted((_number(rng, level), _number(rng, level)))
    lines, borrow = [f"{a}-{b}"], 0
    for x, y in zip(_reversed_digits(a, level), _reversed_digits(b, level), strict=True):
        digit = x - y - borrow
        lines.append(f"{x}-{y}-{borrow}={int(digit < 0)}{digit % 10}")
        borrow = int(digit < 0)
    return Problem({"a": str(a), "b": str(b)}, "\n".join(lines), str(a - b), f"sub {a} {b}")


def build_mul(rng: random.Random, level: int) -> Problem:
    a, b = _number(rng, level), rng.randint(2, 9)
    lines, carry = [f"{a}*{b}"], 0
    for x in _reversed_digits(a, level):
        total = x * b + carry
        lines.append(f"{x}*{b}={x * b // 10}{x * b % 10}+{carry}={total // 10}{total % 10}")
        carry = total // 10
    return Problem({"a": str(a), "b": str(b)}, "\n".join(lines), str(a * b), f"mul {a} {b}")


def build_chain(rng: random.Random, level: int) -> Problem:
    name, goods = rng.choice(NAMES), rng.choice(GOODS)
    value = start = rng.randint(5, 60)
    steps, lines = [], []
    # No amount comes twice: a small transformer finds its place in the story by the last amount it read.
    for change in rng.sample(range(1, 10), level):
        sign = -1 if value - change >= 0 and (value > 89 or rng.random() < 0.5) else 1
        lines.append(f"{value}{'+' if sign > 0 else '-'}{change}={value + sign * change}")
        value += sign * change
        steps.append(sign * change)
    gain, lose = rng.choice((("gets", "gives away"), ("buys", "sells"), ("finds", "loses")))
    slots = {
        "name": name,
        "goods": goods,
        "start": str(start),
        "story": " ".join(f"{name} {gain if s > 0 else lose} {abs(s)}." for s in steps),
        "then": ", then ".join(f"{gain if s > 0 else lose} {abs(s)}" for s in steps),
        "log": "\n".join(f"{'in' if s > 0 else 'out'} {abs(s)}" for s in steps),
        "signed": " ".join(f"{'+' if s > 0 else '-'} {abs(s)}" for s in steps),
    }
    return Problem(slots, "\n".join(lines), str(value), f"chain {start} {steps}")


def build_dial(rng: random.Random, level: int) -> Problem:
    value = start = rng.randint(0, 9)
    steps, lines = [], []
    for _ in range(level):
        change = rng.randint(1, 9) * rng.choice((1, -1))
        after = (value + change) % 10
        lines.append(f"{value}{'+' if change > 0 else '-'}{abs(change)}={after}")
        value = after
        steps.append(change)
    slots = {
        "start": str(start),
        "signed": ", ".join(f"{'+' if s > 0 else '-'}{abs(s)}" for s in steps),
        "turns": ", ".join(f"{'up' if s > 0 else 'down'} {abs(s)}" for s in steps),
        "clicks": ", then ".join(f"{abs(s)} {'forward' if s > 0 else 'back'}" for s in steps),
        "lines": "\n".join(f"- {'right' if s > 0 else 'left'} {abs(s)}" for s in steps),
    }
    return Problem(slots, "\n".join(lines), str(value), f"dial {start} {steps}")


ADD = Task(
    "add",
    "reasoning",
    8,
    build_add,
    (
        "What is {a} + {b}?",
        "{a} + {b} = ?",
        "Add {a} and {b}.",
        "Compute the sum of {a} and {b}.",
        "What do you get when you add {a} to {b}?",
        "Sum: {a}, {b}",
        "How much is {a} plus {b}?",
        "Calculate {a} + {b}.",
        "The first shelf holds {a} boxes and the second {b}. How many boxes are there in all?",
        "I paid {a} for rent and {b} for food. What did I pay in total?",
        "total of {a} and {b} please",
        "One file has {a} rows, the other has {b} rows. How many rows after merging?",
        "Evaluate: {a}+{b}",
        "{a} more {b}, what is the total?",
    ),
    "number",
)
SUB = Task(
    "sub",
    "reasoning",
    8,
    build_sub,
    (
        "What is {a} - {b}?",
        "{a} - {b} = ?",
        "Subtract: {a} minus {b}.",
        "Compute the difference of {a} and {b}.",
        "How much is {a} less {b}?",
        "Calculate {a} - {b}.",
        "There were {a} seats and {b} were sold. How many are left?",
        "From {a} take away {b}.",
        "I had {a} credits and spent {b}. What is the balance?",
        "difference: {a}, {b}",
        "Evaluate: {a}-{b}",
        "The tank held {a} litres; {b} litres were used. How much remains?",
        "{a} minus {b}, please",
        "How far is it from {a} down to {b}?",
    ),
    "number",
)
MUL = Task(
    "mul",
    "reasoning",
    6,
    build_mul,
    (
        "What is {a} * {b}?",
        "{a} x {b} = ?",
        "Multiply {a} by {b}.",
        "Compute the product of {a} and {b}.",
        "How much is {a} times {b}?",
        "Calculate {a} * {b}.",
        "One crate weighs {a} grams. How much do {b} crates weigh?",
        "A seat costs {a}. What do {b} seats cost?",
        "product: {a}, {b}",
        "Evaluate: {a}*{b}",
        "{a} times {b}, please",
        "Each page has {a} words. How many words are on {b} pages?",
        "Scale {a} by a factor of {b}.",
    ),
    "number",
)
CHAIN = Task(
    "chain",
    "reasoning",
    9,
    build_chain,
    (
        "{name} has {start} {goods}. {story} How many {goods} does {name} have now?",
        "{name} starts with {start} {goods}. {story} What is the final number of {goods}?",
        "At first {name} owns {start} {goods}. {story} How many are left?",
        "A shelf holds {start} {goods}. The log says:\n{log}\nHow many {goods} are on the shelf now?",
        "Opening stock: {start} {goods}\n{log}\nClosing stock?",
        "Begin with {start} and apply in order: {signed}. What is the result?",
        "{name} had {start} {goods}, then {then}. How many now?",
        "Running total: {start} {signed}. Where does it end?",
        "Count the {goods}: {name} has {start} of them. {story} Give the count at the end.",
        "Stock of {goods} in the morning: {start}. Movements:\n{log}\nStock in the evening?",
        "Track this balance. Start: {start}. Changes: {signed}. Balance at the end?",
        "{start} {goods} are in {name}'s box. {story} How many {goods} does the box hold?",
        "You keep the books for {name}: {start} {goods} at first, then {then}. What remains?",
    ),
    "number",
)
DIAL = Task(
    "dial",
    "reasoning",
    10,
    build_dial,
    (
        "A dial with digits 0 to 9 shows {start}. Turn it {signed}. Which digit does it show?",
        "A lock dial (0-9, wraps around) is at {start}. Moves: {turns}. Where is it now?",
        "The wheel has ten digits and shows {start}. It is turned {clicks}. What does it show?",
        "Start at {start} on a ring of 0-9.\n{lines}\nFinal position?",
        "Last digit only: begin at {start}, apply {signed}. Which digit?",
        "Position {start} on a dial from 0 to 9, moved {turns}. New position?",
        "A combination wheel stands at {start}. Someone turns it {clicks}. Read the digit.",
        "Dial at {start}. Steps:\n{lines}\nWhat digit is up?",
        "Modulo ten: {start}, then {signed}. Result?",
        "The knob points to {start} of 0-9. It goes {turns}. Where does it point?",
        "Ring of ten numbers, pointer on {start}, moves {signed}. Pointer on?",
        "My lock shows {start}. I turn {clicks}. Which digit shows now?",
    ),
    "number",
)
TASKS = (ADD, SUB, MUL, CHAIN, DIAL)

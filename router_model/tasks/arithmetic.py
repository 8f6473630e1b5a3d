"""Reasoning over numbers: written addition, subtraction and multiplication, running totals and a dial.

Scratchpads put all operands of a step next to each other: for one token, a small transformer can either look up a value
or apply a table, not both.
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
    # No amount is repeated: a small transformer finds its place in the story by the last amount.
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


ADD = Task("add", build_add)
SUB = Task("sub", build_sub)
MUL = Task("mul", build_mul)
CHAIN = Task("chain", build_chain)
DIAL = Task("dial", build_dial)
TASKS = (ADD, SUB, MUL, CHAIN, DIAL)

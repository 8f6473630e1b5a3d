"""Reasoning over states: programs, truth values, tallies and walks on a grid."""

from __future__ import annotations

import random

from router_model.tasks.prompt import Problem, Task
from router_model.tasks.words import LETTERS


def build_trace(rng: random.Random, level: int) -> Problem:
    names = ("x", "y", "z")
    state = {name: rng.randint(0, 9) for name in names}
    program = [f"{name} = {value}" for name, value in state.items()]
    lines = [" ".join(f"{n} {v}" for n, v in state.items())]
    target = "x"
    for _ in range(level):
        target, source, change = rng.choice(names), rng.choice(names), rng.randint(1, 9)
        sign = "-" if state[source] >= change and (state[source] > 25 or rng.random() < 0.5) else "+"
        result = state[source] + (change if sign == "+" else -change)
        program.append(f"{target} = {source} {sign} {change}")
        before, state[target] = state[source], result
        shown = " ".join(f"{n} {v}" for n, v in state.items())
        lines.append(f"{target}={source}{sign}{change}={before}{sign}{change}={result}\n{shown}")
    slots = {"code": "\n".join(program), "inline": "; ".join(program), "var": target}
    return Problem(slots, "\n".join(lines), str(state[target]), f"trace {program}")


def build_boolean(rng: random.Random, level: int) -> Problem:
    value = rng.random() < 0.5
    parts, lines = [str(value)], []
    for _ in range(level):
        operator, other = rng.choice(("and", "or", "xor")), rng.random() < 0.5
        after = {"and": value and other, "or": value or other, "xor": value != other}[operator]
        lines.append(f"{value} {operator} {other} = {after}")
        parts.append(f"{operator} {other}")
        value = after
    slots = {"expr": " ".join(parts), "steps": ", then ".join(parts), "start": parts[0], "rest": "\n".join(parts[1:])}
    return Problem(slots, "\n".join(lines), str(value), f"boolean {parts}")


def build_count(rng: random.Random, level: int) -> Problem:
    n = 2 + 2 * level
    # Other letters are not repeated: by them a small transformer finds its place in the list.
    wanted, *others = rng.sample(LETTERS, 1 + n)
    places = rng.randint(0, n // 2)
    chosen = {place + i for i, place in enumerate(sorted(rng.sample(range(n - places + 1), places)))}
    items = [wanted if i in chosen else others[i] for i in range(n)]
    found, lines = 0, []
    for item in items:
        found += item == wanted
        lines.append(f"- {item} {wanted} {'yes' if item == wanted else 'no'} {found}")
    slots = {
        "wanted": wanted,
        "items": " ".join(items),
        "commas": ", ".join(items),
        "lines": "\n".join(f"- {i}" for i in items),
    }
    return Problem(slots, "\n".join(lines), str(found), f"count {wanted} {items}")


_MOVES = {"north": (0, 1), "east": (1, 0), "south": (0, -1), "west": (-1, 0)}


def build_walk(rng: random.Random, level: int) -> Problem:
    x, y = start = (rng.randint(0, 9), rng.randint(0, 9))
    moves: list[tuple[str, int]] = []
    lines: list[str] = []
    while len(moves) < level:
        way, far = rng.choice(list(_MOVES)), rng.randint(1, 5)
        dx, dy = _MOVES[way]
        after = (x + dx * far, y + dy * far)
        if not (0 <= after[0] <= 9 and 0 <= after[1] <= 9):
            continue
        old, new = (x, after[0]) if dx else (y, after[1])
        lines.append(f"{x},{y} {way} {far}: {old}{'+' if dx + dy > 0 else '-'}{far}={new} -> {after[0]},{after[1]}")
        x, y = after
        moves.append((way, far))
    slots = {
        "start": f"{start[0]},{start[1]}",
        "moves": ", ".join(f"{way} {far}" for way, far in moves),
        "then": ", then ".join(f"{far} {way}" for way, far in moves),
        "lines": "\n".join(f"- go {way} {far}" for way, far in moves),
    }
    return Problem(slots, "\n".join(lines), f"{x},{y}", f"walk {start} {moves}")


TRACE = Task("trace", build_trace)
BOOLEAN = Task("boolean", build_boolean)
COUNT = Task("count", build_count)
WALK = Task("walk", build_walk)
TASKS = (TRACE, BOOLEAN, COUNT, WALK)

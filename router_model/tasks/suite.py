"""Draws prompts from the tasks: family, level, problem, wording and form; decides which problems are held out."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from router_model.data import output_files
from router_model.tasks import arithmetic, extraction, rewriting, simulation, tool_use
from router_model.tasks.prompt import Kind, Problem, Prompt, Task

FAMILIES: dict[str, Task] = {
    task.name: task for module in (arithmetic, simulation, extraction, rewriting, tool_use) for task in module.TASKS
}
# Families for the reasoner's training only: on them it is measured whether routers generalise.
ROUTER_NEW_FAMILIES = frozenset({"walk", "mul", "date", "redact"})
# Levels with so few problems that none are held out; prompts may overlap with training.
_SMALL = frozenset({("add", 1), ("sub", 1), ("mul", 1), ("dial", 1), ("boolean", 1), ("boolean", 2)})

_OPENERS = (
    "",
    "",
    "",
    "",
    "Please help: ",
    "Quick one: ",
    "Hi! ",
    "Next task. ",
    "Question: ",
    "For my notes: ",
    "Hello, ",
    "One more: ",
)
_CLOSERS = (
    "",
    "",
    "",
    "",
    " Answer only.",
    " Just the result.",
    " No explanation.",
    " Thanks!",
    " Keep it short.",
    "\nReply with the answer.",
)
_SYSTEMS = (
    "You are a helpful assistant.",
    "You answer briefly.",
    "You work in a support team.",
    "Be precise.",
    "You are a careful clerk.",
    "Answer with the result and nothing else.",
    "You are part of a batch job.",
    "You are an assistant in an office.",
)
_ACKNOWLEDGEMENTS = ("Noted.", "Understood.", "Ready.", "Go ahead.")
_REMEMBER = ("Remember this:\n", "Here is the data.\n", "First the facts.\n", "I will ask about this next.\n")

Split = Literal["train", "held-out", "any"]


def is_held_out(family: str, level: int, key: str) -> bool:
    """Whether a problem is excluded from the reasoner's training: about 4 % of all, by a hash of the problem."""
    return (family, level) not in _SMALL and hashlib.md5(key.encode()).digest()[0] < 10


def router_new_phrasing(phrasing: str) -> bool:
    """Whether a core wording (`<family>/<index>`) is excluded from routers' training: every fourth is."""
    return int(phrasing.rsplit("/", 1)[1]) % 4 == 3


def _joined(wording: str, closer: str) -> str:
    """The closer, on its own line if it could be mistaken for part of the data."""
    return "\n" + closer.strip() if closer and wording.endswith("}") else closer


def _messages(task: Task, problem: Problem, wording: str, form: str, rng: random.Random) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if rng.random() < 0.3:
        messages.append({"role": "system", "content": rng.choice(_SYSTEMS)})
    opener, closer = rng.choice(_OPENERS), rng.choice(_CLOSERS)
    if form == "context":
        context, question = wording.rsplit("\n", 1)
        messages.append({"role": "user", "content": rng.choice(_REMEMBER) + context.format(**problem.slots)})
        messages.append({"role": "assistant", "content": rng.choice(_ACKNOWLEDGEMENTS)})
        messages.append(
            {"role": "user", "content": opener + question.format(**problem.slots) + _joined(question, closer)}
        )
    else:
        if form == "history":
            earlier = rng.choice([t for t in FAMILIES.values() if t.tools is None])
            old = earlier.build(rng, 1)
            messages.append({"role": "user", "content": rng.choice(earlier.phrasings).format(**old.slots)})
            messages.append({"role": "assistant", "content": old.answer})
        messages.append(
            {"role": "user", "content": opener + wording.format(**problem.slots) + _joined(wording, closer)}
        )
    messages.extend(dict(message) for message in problem.after)
    return messages


def _form(wording: str, task: Task, rng: random.Random) -> str:
    if task.tools is None and rng.random() < 0.1:
        return "history"
    return "context" if "\n" in wording and rng.random() < 0.2 else "single"


def draw(
    rng: random.Random, task: Task, level: int, split: Split = "any", phrasings: Sequence[int] | None = None
) -> Prompt:
    """One prompt of a task at a level. `phrasings` restricts the core wordings, by index; `split` the problems."""
    while True:
        problem = task.build(rng, level)
        held_out = is_held_out(task.name, level, problem.key)
        small = (task.name, level) in _SMALL
        if split == "any" or small or held_out == (split == "held-out"):
            break
    index = rng.choice(phrasings) if phrasings is not None else rng.randrange(len(task.phrasings))
    wording = task.phrasings[index]
    form = _form(wording, task, rng)
    messages = _messages(task, problem, wording, form, rng)
    identity = hashlib.md5(json.dumps(messages).encode()).hexdigest()[:12]
    return Prompt(
        id=f"{task.name}-{level}-{identity}",
        family=task.name,
        kind=task.kind,
        level=level,
        phrasing=f"{task.name}/{index}",
        form=form,
        messages=messages,
        answer=problem.answer,
        verifier=task.verifier,
        split="held-out" if held_out else "train",
        tools=task.tools(problem.slots) if task.tools else None,
        thought=problem.thought,
    )


def generate(
    seed: int,
    n: int,
    *,
    split: Split = "held-out",
    families: Iterable[str] | None = None,
    kinds: Sequence[Kind] = ("reasoning", "instruct"),
    new_phrasings: bool | None = None,
) -> Iterator[Prompt]:
    """`n` distinct prompts: kinds alternate, family and level are drawn uniformly.

    `new_phrasings`: True for wordings excluded from routers' training, False for the others, None for all.
    """
    rng = random.Random(seed)
    names = list(families) if families is not None else list(FAMILIES)
    by_kind = {kind: [FAMILIES[name] for name in names if FAMILIES[name].kind == kind] for kind in kinds}
    chosen = [kind for kind in kinds if by_kind[kind]]
    seen: set[str] = set()
    while len(seen) < n:
        task = rng.choice(by_kind[chosen[len(seen) % len(chosen)]])
        indices = [
            i
            for i in range(len(task.phrasings))
            if new_phrasings is None or router_new_phrasing(f"{task.name}/{i}") == new_phrasings
        ]
        prompt = draw(rng, task, rng.randint(1, task.levels), split, indices)
        if prompt.id not in seen:
            seen.add(prompt.id)
            yield prompt


def write_jsonl(prompts: Iterable[Prompt], path: Path) -> int:
    """Write prompts as tasks.jsonl, one per line; returns their number."""
    lines = [json.dumps(prompt.row(), ensure_ascii=False) + "\n" for prompt in prompts]
    output_files.put(path, "".join(lines))
    return len(lines)


def read_jsonl(path: Path) -> list[Prompt]:
    """Read tasks.jsonl. ValueError names the invalid line."""
    prompts = []
    # Not `splitlines`, which also splits at other characters that JSON strings may contain.
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            prompts.append(Prompt(**json.loads(line)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {number}: not a task ({error})") from error
    return prompts

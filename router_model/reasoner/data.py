"""Training samples: one prompt with several continuations, as a tree in one row.

The branches are full reasoning with its answer, the answer without reasoning, and answers after reasoning that was cut
at random tokens, as by a budget. All branches share the prompt (and cuts share the beginning of the reasoning), so that
the prompt, most of the tokens, is computed once. The forced close carries no loss, or the model would learn to close at
random.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from jinja2 import Template
from numpy.typing import NDArray
from tokenizers import Tokenizer

from router_model.reasoner.template import ModelName, chat_template, compile_template, render
from router_model.tasks import FAMILIES, Prompt, draw

REASONING_SHARE = 0.62
EASIER_SHARE = 0.4
CUTS = 3
ANSWER_WEIGHT, CUT_WEIGHT, HOPELESS_WEIGHT = 4.0, 1.5, 0.5
# On instruct tasks the reasoning drafts the answer, so a word that is wrong in it is wrong in the answer, too.
THOUGHT_WEIGHTS = {"reasoning": 1.0, "instruct": 3.0}
MAX_TOKENS = 640
# Servers force the bare tag; models and two-phase clients may write the other form.
_CLOSES = (("</think>", 0.6), ("\n</think>", 0.4))
# Drawn more often than other families of their kind, as they need more samples.
_SHARES = {"count": 1.8, "chain": 1.4, "polite": 1.8, "case": 1.6, "redact": 1.4}
_PADDING = -1
_PROMPT, _MAIN = 0, 1


@dataclass(slots=True)
class Row:
    """One tree. Per token: id, loss weight, position, branch, and the number of main-branch tokens it attends to."""

    ids: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branches: list[int] = field(default_factory=list)
    sees: list[int] = field(default_factory=list)

    def add(self, ids: list[int], weight: float, branch: int, position: int, sees: int = 0) -> None:
        """Append tokens from `position` on that attend to their branch and to `sees` tokens of the main branch."""
        self.ids += ids
        self.weights += [weight] * len(ids)
        self.positions += range(position, position + len(ids))
        self.branches += [branch] * len(ids)
        self.sees += [sees] * len(ids)


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded rows. Arrays are (rows, length); `mask` is (rows, length, length), True where attention is allowed."""

    ids: NDArray[np.int64]
    weights: NDArray[np.float32]
    positions: NDArray[np.int64]
    mask: NDArray[np.bool_]


class RowStream:
    """A reproducible stream of rows for one model, one per drawn prompt.

    The prompts of a seed are the same for every model: `tiny` is trained on all branches, `tiny-thinking` on exactly
    those with reasoning, `tiny-instruct` on exactly the others.
    """

    def __init__(self, model: ModelName, tokenizer: Tokenizer, seed: int, draws: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._template: Template = compile_template(chat_template(model))
        self._rng = random.Random(seed)
        self._draws = draws
        self.drawn = 0
        self._tasks = {kind: [t for t in FAMILIES.values() if t.kind == kind] for kind in ("reasoning", "instruct")}

    def __iter__(self) -> Iterator[Row]:
        while self.drawn < self._draws:
            self.drawn += 1
            rng = random.Random(self._rng.getrandbits(64))
            tasks = self._tasks["reasoning" if rng.random() < REASONING_SHARE else "instruct"]
            task = rng.choices(tasks, [_SHARES.get(t.name, 1.0) for t in tasks])[0]
            level = rng.randint(1, task.levels)
            if rng.random() < EASIER_SHARE:
                level = rng.randint(1, level)
            row = self._row(draw(rng, task, level, "train"), rng)
            if len(row.ids) <= MAX_TOKENS:
                yield row

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _row(self, prompt: Prompt, rng: random.Random) -> Row:
        row = Row()
        start = self._encode(render(self._template, prompt.messages, prompt.tools))
        row.add(start, 0.0, _PROMPT, 0)
        answer = self._encode(f"{prompt.answer}<|im_end|>")
        if self._model != "tiny-instruct":
            self._add_thoughts(row, prompt, rng)
        if self._model != "tiny-thinking":
            # Hard problems cannot be answered without reasoning, so guesses get little weight.
            weight = ANSWER_WEIGHT if prompt.kind == "instruct" or prompt.level <= 3 else HOPELESS_WEIGHT
            empty = self._encode("<think>\n\n</think>\n\n") if self._model == "tiny" else []
            branch = max(row.branches) + 1
            row.add(empty, 0.0, branch, len(start))
            row.add(answer, weight, branch, len(start) + len(empty))
        return row

    def _add_thoughts(self, row: Row, prompt: Prompt, rng: random.Random) -> None:
        begin = len(row.ids)
        opened = self._model == "tiny-thinking"
        thought = self._encode(("" if opened else "<think>\n") + prompt.thought)
        answer = self._encode(f"\n\n{prompt.answer}<|im_end|>")
        row.add(thought + self._encode("\n</think>"), THOUGHT_WEIGHTS[prompt.kind], _MAIN, begin)
        row.add(answer, ANSWER_WEIGHT, _MAIN, len(row.ids))
        for branch in range(_MAIN + 1, _MAIN + 1 + CUTS):
            kept = rng.randint(0 if opened else 1, len(thought))
            close = self._encode(rng.choices([text for text, _ in _CLOSES], [share for _, share in _CLOSES])[0])
            row.add(close, 0.0, branch, begin + kept, kept)
            row.add(answer, CUT_WEIGHT, branch, begin + kept + len(close), kept)


def _pad(rows: list[Row], width: int, name: str, fill: int) -> NDArray[np.int64]:
    return np.array([getattr(row, name) + [fill] * (width - len(row.ids)) for row in rows])


def _batch(rows: list[Row]) -> Batch:
    width = -(-max(len(row.ids) for row in rows) // 16) * 16
    branches, sees = _pad(rows, width, "branches", _PADDING), _pad(rows, width, "sees", 0)
    rank = np.where(branches == _MAIN, (branches == _MAIN).cumsum(1) - 1, width)
    own = branches[:, :, None] == branches[:, None, :]
    prompt = branches[:, None, :] == _PROMPT
    shared = rank[:, None, :] < sees[:, :, None]
    mask = np.tril(np.ones((width, width), np.bool_)) & (own | prompt | shared)
    weights = _pad(rows, width, "weights", 0).astype(np.float32)
    return Batch(_pad(rows, width, "ids", 0), weights, _pad(rows, width, "positions", 0), mask)


def batches(rows: Iterator[Row], tokens: int, seed: int, pool: int = 1024) -> Iterator[Batch]:
    """Group rows of similar length into padded batches of at most `tokens` tokens, in random order within a pool."""
    rng = random.Random(seed)
    while chunk := list(itertools.islice(rows, pool)):
        groups: list[list[Row]] = [[]]
        for row in sorted(chunk, key=lambda row: len(row.ids)):
            width = -(-len(row.ids) // 16) * 16
            if groups[-1] and width * (len(groups[-1]) + 1) > tokens:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        yield from map(_batch, groups)

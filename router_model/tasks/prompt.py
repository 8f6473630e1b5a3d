"""The types of the task suite: a task, a problem, and the prompt that a client sends."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

Kind = Literal["reasoning", "instruct"]
Verifier = Literal["number", "text", "json", "tool"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One instance of a task, before it is put into words.

    `slots` fill the task's phrasings, `thought` is a worked scratchpad, `answer` the one right answer. `key` identifies
    the problem itself, however it is phrased: held-out problems are chosen by it. `after` are messages that follow the
    user's, such as a tool call and its result.
    """

    slots: Mapping[str, str]
    thought: str
    answer: str
    key: str
    after: tuple[Mapping[str, Any], ...] = ()


class TaskRow(NamedTuple):
    """A task's row in `tasks.toml`."""

    kind: Kind
    levels: int
    verifier: Verifier
    phrasings: tuple[str, ...]


@cache
def _rows() -> dict[str, TaskRow]:
    text = (files("router_model.tasks") / "tasks.toml").read_text("utf-8")
    return {name: TaskRow(**{**row, "phrasings": (*row["phrasings"],)}) for name, row in tomllib.loads(text).items()}


@dataclass(frozen=True, slots=True)
class Task:
    """A family of problems with graded difficulty (`levels` is the highest level; the lowest is 1)."""

    name: str
    build: Callable[[random.Random, int], Problem]
    tools: Callable[[Mapping[str, str]], list[dict[str, Any]]] | None = None

    @property
    def kind(self) -> Kind:
        return _rows()[self.name].kind

    @property
    def levels(self) -> int:
        return _rows()[self.name].levels

    @property
    def verifier(self) -> Verifier:
        return _rows()[self.name].verifier

    @property
    def phrasings(self) -> tuple[str, ...]:
        return _rows()[self.name].phrasings


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as a client sends it, with the data for verifying the answer and for splitting data sets.

    `phrasing` is `<family>/<index of the core wording>`. `split` is `train` (for reasoner and router) or `held-out` (a
    problem that no model was trained on). `form` is `single`, `context` (the data is in an earlier turn) or `history`
    (an unrelated exchange comes first).
    """

    id: str
    family: str
    kind: Kind
    level: int
    phrasing: str
    form: str
    messages: list[dict[str, Any]]
    answer: str
    verifier: Verifier
    split: str
    tools: list[dict[str, Any]] | None = None
    thought: str = field(default="", repr=False)

    def row(self) -> dict[str, Any]:
        """The prompt as a row of tasks.jsonl: everything but the worked scratchpad."""
        row = asdict(self)
        del row["thought"]
        return row

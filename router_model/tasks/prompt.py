"""The nouns of the task suite: a task, the problem it makes, and the prompt a client would send."""

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
    """What `tasks.toml` says of a task."""

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
    """A prompt as a client sends it, with what is needed to judge the answer and to split data honestly.

    `phrasing` is `<family>/<index of the core wording>`. `split` says who may learn from it: `train` (reasoner and
    router), `held-out` (a problem that no model trained on). `form` is `single`, `context` (the data in an earlier
    turn) or `history` (an unrelated exchange before it).
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

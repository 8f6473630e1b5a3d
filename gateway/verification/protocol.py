"""What a verifier is: the settings of one, which score an answer by what its request says of a right one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from gateway.core.answer import AnswerContent
from gateway.core.kind import kind_of
from gateway.core.strict import StrictSettings, Unit

NAME = "[a-z0-9][a-z0-9_.-]{0,63}"


class AnswerTask(NamedTuple):
    """What a request says of a right answer.

    `expected` is the answer that the client knows, as JSON, and `tests` are its tests of code, in Python. `schema` is
    the JSON schema that it wants the answer to have, True for any JSON object; `tools` are the schemas of the arguments
    of its tools, by their names. None: it says nothing of the kind.
    """

    expected: Any = None
    tests: str | None = None
    schema: dict[str, Any] | bool | None = None
    tools: Mapping[str, Any] | None = None


class VerifierSettings(StrictSettings, ABC):
    """A table of `[[models.NAME.verify]]`. Each kind adds its keys, and a `kind` of its own: a literal of one word.

    `score` runs in the verifiers' own process, which imports the class by its module and name and is ended where it
    takes too long: it may be slow, or fail, and it keeps nothing between answers.
    """

    name: Annotated[str, Field(pattern=f"^{NAME}$")] | None = None
    """What outcomes call it: its kind if left out. Two verifiers of a model have different names."""
    metric: Annotated[str, Field(pattern=f"^{NAME}$")] = "outcome"
    """The metric of its outcomes."""
    weight: Unit = 1.0
    """How much its outcomes count beside others of the same answer and metric."""

    @property
    def called(self) -> str:
        return self.name or kind_of(type(self))

    @property
    def source(self) -> str:
        return f"verifier:{self.called}"

    @property
    def wall_s(self) -> float:
        """How long it may wait for a process of its own, beyond the time that it computes itself."""
        return 0.0

    @abstractmethod
    def applies(self, task: AnswerTask, answer: AnswerContent) -> bool:
        """Whether there is something to score. On the event loop: it returns at once."""
        ...

    @abstractmethod
    def score(self, task: AnswerTask, answer: AnswerContent) -> float | None:
        """From 0 to 1; None: it cannot tell, as the request's own reference or schema is no use."""
        ...

    @abstractmethod
    def describe(self) -> str:
        """A sentence for `thinkgate check`."""
        ...


def is_final(answer: AnswerContent) -> bool:
    """Whether it answers the question: calls of tools only lead to an answer."""
    return not answer.tool_calls

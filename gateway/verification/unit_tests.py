"""Whether the code in an answer passes the tests that its request brings. Off unless the operator says so in words."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gateway.core.answer import AnswerContent
from gateway.verification.protocol import AnswerTask, VerifierSettings, is_final

_BLOCK = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
_PYTHON = ("python", "py", "python3")


class TestsSettings(VerifierSettings):
    """Python code, in a process that may compute and nothing else; see `docs/outcomes.md` for what that means.

    The code is the last block that is marked as Python, else the last block, else the whole answer.
    """

    kind: Literal["tests"]
    run_code_of_models: bool = False
    """Has to be true: whoever sets it knows that code which models and clients have written runs on this machine."""
    cpu_s: Annotated[int, Field(ge=1, le=60)] = 2
    """Seconds of CPU time."""
    wait_s: Annotated[float, Field(gt=0, le=300)] = 20.0
    """Seconds that pass before it is ended, though it computes nothing."""
    memory_mb: Annotated[int, Field(ge=64, le=4096)] = 256
    isolation: Literal["required", "best_effort"] = "required"
    """Whether nothing is run where the kernel cannot keep the code from files, the network and other processes."""

    @model_validator(mode="after")
    def _is_wanted(self) -> TestsSettings:
        from gateway.verification.sandbox.run import missing_isolation

        if not self.run_code_of_models:
            raise ValueError(
                "it runs what models write on this machine: set `run_code_of_models = true` to say that this is wanted"
            )
        lacks = missing_isolation() if self.isolation == "required" else None
        if lacks:
            raise ValueError(
                f'this machine cannot isolate code, as it has no {lacks}; `isolation = "best_effort"` does without'
            )
        return self

    @property
    def wall_s(self) -> float:
        return self.wait_s

    def applies(self, task: AnswerTask, answer: AnswerContent) -> bool:
        return task.tests is not None and is_final(answer)

    def score(self, task: AnswerTask, answer: AnswerContent) -> float | None:
        from gateway.verification.sandbox.run import SandboxLimits, share_passed

        required = self.isolation == "required"
        limits = SandboxLimits(self.cpu_s, self.wait_s, self.memory_mb << 20, required)
        return share_passed(code_in(answer.text), task.tests or "", limits)

    def describe(self) -> str:
        return (
            "the share of the request's tests that the answer's code passes; it runs on this machine, with "
            f"{self.cpu_s} s of CPU time and {self.memory_mb} MiB; isolation is {self.isolation.replace('_', ' ')}."
        )


def code_in(text: str) -> str:
    """The code of an answer."""
    blocks: list[tuple[str, str]] = _BLOCK.findall(text)
    marked = [code for language, code in blocks if language.lower() in _PYTHON]
    return marked[-1] if marked else blocks[-1][1] if blocks else text

"""Whether an answer is the expected one, as text or as JSON."""

from __future__ import annotations

from typing import Any, Literal

from gateway.core.answer import AnswerContent
from gateway.verification.extract import ExtractingSettings, parsed
from gateway.verification.protocol import AnswerTask, is_final


class ExactSettings(ExtractingSettings):
    """An expected text is compared with the text of the answer; any other JSON value with its JSON."""

    kind: Literal["exact"]
    ignore_case: bool = False
    ignore_spaces: bool = True
    """Whether all white space counts as one space, and none at the ends."""

    def applies(self, task: AnswerTask, answer: AnswerContent) -> bool:
        return task.expected is not None and is_final(answer)

    def score(self, task: AnswerTask, answer: AnswerContent) -> float | None:
        found = self.extract(answer.text)
        if isinstance(task.expected, str):
            return float(isinstance(found, str) and self._plain(found) == self._plain(task.expected))
        return float(same_json(parsed(found) if isinstance(found, str) else found, task.expected))

    def _plain(self, text: str) -> str:
        text = " ".join(text.split()) if self.ignore_spaces else text
        return text.casefold() if self.ignore_case else text

    def describe(self) -> str:
        return "1 where the answer is `expected`, as text or as JSON, else 0."


def same_json(one: Any, other: Any) -> bool:
    """Equality of JSON values: 1 and 1.0 are the same number, true is none."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None:
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)

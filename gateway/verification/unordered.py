"""Whether an answer lists what is expected, in any order."""

from __future__ import annotations

import re
from typing import Any, Literal

import orjson

from gateway.core.answer import AnswerContent
from gateway.verification.extract import ExtractingSettings, parsed
from gateway.verification.protocol import AnswerTask, is_final

_BETWEEN = re.compile(r"[\n;,]")
_MARK = re.compile(r"^\s*(?:[-*+\u2022]|\d{1,4}[.)])\s+")
_AND = re.compile(r"^(?:and|or)\s", re.IGNORECASE)


class SetSettings(ExtractingSettings):
    """A JSON list, or a text with one entry a line, or between commas or semicolons. Repeated entries count once."""

    kind: Literal["set"]
    ignore_case: bool = True
    partial: bool = False
    """Whether an answer that has some of it scores what both have, divided by what either has (the Jaccard index)."""

    def applies(self, task: AnswerTask, answer: AnswerContent) -> bool:
        return isinstance(task.expected, str | list) and is_final(answer)

    def score(self, task: AnswerTask, answer: AnswerContent) -> float | None:
        expected = self.entries(task.expected)
        found = self.entries(self.extract(answer.text))
        if expected is None or found is None:
            return None if expected is None else 0.0
        if not self.partial or not expected | found:
            return float(found == expected)
        return len(found & expected) / len(found | expected)

    def entries(self, value: Any) -> frozenset[str] | None:
        """The distinct entries of a list, or of a text that is one. None: it is neither."""
        if isinstance(value, str):
            listed = parsed(value)
            value = listed if isinstance(listed, list) else _BETWEEN.split(value)
        if not isinstance(value, list):
            return None
        return frozenset(filter(None, map(self._entry, value)))

    def _entry(self, value: Any) -> str:
        if not isinstance(value, str):
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        text = " ".join(_AND.sub("", _MARK.sub("", value).strip()).split()).rstrip(".").strip("\"'`* ")
        return text.casefold() if self.ignore_case else text

    def describe(self) -> str:
        partly = "the share that both have" if self.partial else "0"
        return f"1 where the answer lists what `expected` does, in any order, else {partly}."

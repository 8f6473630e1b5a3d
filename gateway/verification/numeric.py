"""Whether the number that an answer ends with is the expected one."""

from __future__ import annotations

import re
from collections import deque
from decimal import Context, Decimal, DecimalException
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.core.answer import AnswerContent
from gateway.verification.extract import ExtractingSettings, boxed
from gateway.verification.protocol import AnswerTask, is_final

# Groups of three digits between separators, or digits alone; then decimals, an exponent, and a percent sign. A number
# that stands right after a letter, as in `x2`, is part of a name.
_POINT = re.compile(
    r"(?<![\w.])([-+\u2212]?)[$€£]?(\d{1,3}(?:[,'_\u00a0\u202f]\d{3})+(?!\d)|\d+|(?=\.\d))(\.\d+)?([eE][-+]?\d{1,9})?\s{0,2}(\\?%)?"
)
_COMMA = re.compile(
    r"(?<![\w,])([-+\u2212]?)[$€£]?(\d{1,3}(?:[.'_\u00a0\u202f]\d{3})+(?!\d)|\d+|(?=,\d))(,\d+)?([eE][-+]?\d{1,9})?\s{0,2}(\\?%)?"
)
_FRACTION = re.compile(
    r"\\[dt]?frac\{([^{}]{1,100})\}\{([^{}]{1,100})\}|(?<![\w.])([-+\u2212]?\d+)\s?/\s?(\d+)(?![\w/])"
)
# Enough digits for any result that is compared, and no exponent that would fill the memory.
_CONTEXT = Context(prec=60, Emax=100_000, Emin=-100_000)


class NumericSettings(ExtractingSettings):
    """The last number of the part; of a `\\boxed{...}`, if there is one and no other part is named."""

    kind: Literal["numeric"]
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """How far the number may be from the expected one."""
    relative_tolerance: Annotated[float, Field(ge=0)] = 1e-9
    """The same, as a fraction of the expected one; the wider of the two holds."""
    percent: Literal["hundredth", "ignore"] = "hundredth"
    """Whether 12 % is .12, in the answer and in what is expected, or 12."""
    decimal_comma: bool = False
    """Whether numbers are written 1.234,5."""

    def applies(self, task: AnswerTask, answer: AnswerContent) -> bool:
        return isinstance(task.expected, str | int | float) and type(task.expected) is not bool and is_final(answer)

    def score(self, task: AnswerTask, answer: AnswerContent) -> float | None:
        expected = self.number(task.expected)
        if expected is None:
            return None
        found = self.number(self.extract(answer.text))
        return float(found is not None and self._close(found, expected))

    def number(self, value: Any) -> Decimal | None:
        """The number that a JSON value is, or the last one in a text; None: there is none."""
        if isinstance(value, int | float) and type(value) is not bool:
            return Decimal(str(value))
        if not isinstance(value, str):
            return None
        inner = boxed(value) if self.compare == "whole" else None
        return self._last(value if inner is None else inner)

    def _last(self, text: str) -> Decimal | None:
        found, end = None, -1
        for match in (_COMMA if self.decimal_comma else _POINT).finditer(text):
            found, end = match, match.end()
        fraction = next(iter(deque(_FRACTION.finditer(text), maxlen=1)), None)
        try:
            if fraction is not None and fraction.end() >= end:
                over, under = fraction[1] or fraction[3], fraction[2] or fraction[4]
                return _CONTEXT.divide(_decimal(over), _decimal(under))
            return None if found is None else self._value(found)
        except (DecimalException, ValueError):
            return None

    def _value(self, found: re.Match[str]) -> Decimal:
        sign, whole, rest, exponent, percent = found.groups()
        digits = re.sub(r"\D", "", whole or "0")
        rest = (rest or "").replace(",", ".")
        value = _decimal(f"{sign}{digits}{rest}{exponent or ''}")
        return _CONTEXT.divide(value, Decimal(100)) if percent and self.percent == "hundredth" else value

    def _close(self, found: Decimal, expected: Decimal) -> bool:
        try:
            far = _CONTEXT.abs(_CONTEXT.subtract(found, expected))
            relative = _CONTEXT.multiply(_CONTEXT.abs(expected), Decimal(str(self.relative_tolerance)))
        except DecimalException:
            return found == expected
        return far <= max(Decimal(str(self.tolerance)), relative)

    def describe(self) -> str:
        return f"1 where the answer's last number is `expected` within {self.tolerance:g}, else 0."


def _decimal(text: str) -> Decimal:
    return _CONTEXT.create_decimal(text.strip().replace("\u2212", "-"))

"""One object of a request, read field by field; what is wrong is told with the field's whole name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gateway.api import checks
from gateway.core.errors import InvalidRequest, suggestion


class Fields:
    """Absent and null are the same, and are None. Every method raises InvalidRequest for what is not as it says."""

    __slots__ = ("_given", "_where")

    def __init__(self, given: dict[str, Any], where: str = "") -> None:
        self._given = given
        self._where = where

    def param(self, name: str) -> str:
        """The field's whole name."""
        return f"{self._where}.{name}" if self._where else name

    def any(self, name: str) -> Any:
        return self._given.get(name)

    def text(self, name: str, most: int | None = None) -> str | None:
        """Of at most so many characters."""
        value = self._given.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise checks.wrong_type(self.param(name), "a string", value)
        if most is not None and len(value) > most:
            raise self.wrong(name, f"may have at most {most} characters, not {len(value)}.", "string_above_max_length")
        return value

    def needed(self, name: str) -> str:
        """A text that must be there and not be empty."""
        value = self.text(name)
        if not value:
            raise self.missing(name)
        return value

    def word(self, name: str, known: Sequence[str]) -> str | None:
        """One of the known words."""
        value = self.text(name)
        if value is not None and value not in known:
            near = suggestion(value, known) if len(value) < 40 else ""
            raise self.wrong(name, f"must be one of {', '.join(known)}, not {value[:40]!r}.{near}")
        return value

    def boolean(self, name: str) -> bool | None:
        return checks.boolean(self._given, name, self.param(name))

    def integer(self, name: str, lowest: int, highest: int) -> int | None:
        value = self._given.get(name)
        if value is None:
            return None
        if type(value) is not int:
            raise checks.wrong_type(self.param(name), "a whole number", value)
        if not lowest <= value <= highest:
            raise self.wrong(name, f"must be between {lowest} and {highest}, not {str(value)[:40]}.")
        return value

    def number(self, name: str, lowest: float, highest: float) -> float | None:
        value = self._given.get(name)
        if value is None:
            return None
        if type(value) not in (int, float):
            raise checks.wrong_type(self.param(name), "a number", value)
        if math.isnan(value) or not lowest <= value <= highest:
            raise self.wrong(name, f"must be between {lowest} and {highest}, not {str(value)[:40]}.")
        return value  # type: ignore[no-any-return]

    def table(self, name: str) -> Fields:
        """An object; an empty one if it is absent."""
        value = self._given.get(name)
        if value is not None and not isinstance(value, dict):
            raise checks.wrong_type(self.param(name), "an object", value)
        return Fields(value or {}, self.param(name))

    def rows(self, name: str) -> list[Fields]:
        """A list of objects; an empty one if it is absent."""
        return [self._row(row, f"{self.param(name)}[{index}]") for index, row in enumerate(self.list(name))]

    def list(self, name: str) -> list[Any]:
        value = self._given.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise checks.wrong_type(self.param(name), "a list", value)
        return value

    def rest(self, *known: str) -> dict[str, Any]:
        """The fields that are not among the known ones and not null."""
        return {name: value for name, value in self._given.items() if value is not None and name not in known}

    @property
    def given(self) -> dict[str, Any]:
        return self._given

    def wrong(self, name: str, message: str, code: str = "invalid_value") -> InvalidRequest:
        return InvalidRequest(f"{self.param(name)} {message}", param=self.param(name), code=code)

    def missing(self, name: str) -> InvalidRequest:
        param = self.param(name)
        return InvalidRequest(f"{param} is required.", param=param, code="missing_required_parameter")

    @staticmethod
    def _row(row: Any, where: str) -> Fields:
        if not isinstance(row, dict):
            raise checks.wrong_type(where, "an object", row)
        return Fields(row, where)

"""Reads one JSON object of a request field by field; errors name the field by its full path."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

from gateway.api import checks
from gateway.core.errors import InvalidRequest, suggestion


class Fields:
    """Absent and null fields both read as None. Every method raises InvalidRequest for a value of another kind.

    `dotted`: errors use Anthropic's paths, `messages.0.content`, and suggest only similar values; else they use
    OpenAI's paths, `messages[0].content`, and list the valid values if none is similar.
    """

    __slots__ = ("_dotted", "given", "where")

    def __init__(self, given: dict[str, Any], where: str = "", dotted: bool = False) -> None:
        self.given = given
        self.where = where
        self._dotted = dotted

    def param(self, name: str) -> str:
        """The field's full path."""
        return f"{self.where}.{name}" if self.where else name

    def inner(self, given: dict[str, Any], name: str) -> Fields:
        """Fields of an object at `name`."""
        return Fields(given, self.param(name), self._dotted)

    def any(self, name: str) -> Any:
        return self.given.get(name)

    def text(self, name: str, most: int | None = None) -> str | None:
        """A string of at most `most` characters."""
        value: str | None = self._of(name, str, "a string")
        if value is not None and most is not None and len(value) > most:
            raise self.wrong(name, f"may have at most {most} characters, not {len(value)}.", "string_above_max_length")
        return value

    def required(self, name: str) -> str:
        """A required string, possibly empty."""
        value = self.text(name)
        if value is None:
            raise self.missing(name)
        return value

    def needed(self, name: str) -> str:
        """A required string that is not empty."""
        value = self.text(name)
        if not value:
            raise self.missing(name)
        return value

    def word(self, name: str, known: Collection[str]) -> str | None:
        """A string out of `known`."""
        value = self.text(name)
        if value is not None and value not in known:
            near = suggestion(value, known) if len(value) < 40 else ""
            legal = f"one of {', '.join(known)}"
            if self._dotted:
                near = near if near.startswith(" Did") and len(known) > 1 else ""
                legal = legal if len(known) > 1 else "".join(known)
            raise self.wrong(name, f"must be {legal}, not {value[:40]!r}.{near}")
        return value

    def required_word(self, name: str, known: Collection[str]) -> str:
        self.required(name)
        return self.word(name, known) or ""

    def boolean(self, name: str) -> bool | None:
        value: bool | None = self._of(name, bool, "true or false")
        return value

    def integer(self, name: str, lowest: int, highest: int) -> int | None:
        value = self.given.get(name)
        return None if value is None else checks.whole(value, self.param(name), lowest, highest)

    def number(self, name: str, lowest: float, highest: float) -> float | None:
        value: float | None = self.given.get(name)
        if value is None:
            return None
        if type(value) not in (int, float):
            raise checks.wrong_type(self.param(name), "a number", value)
        if math.isnan(value) or not lowest <= value <= highest:
            raise self.wrong(name, f"must be between {lowest:g} and {highest:g}, not {str(value)[:40]}.")
        return value

    def table(self, name: str) -> Fields:
        """An object; an empty one if it is absent."""
        value: dict[str, Any] | None = self._of(name, dict, "an object")
        return Fields(value or {}, self.param(name), self._dotted)

    def object(self, name: str) -> Fields | None:
        value: dict[str, Any] | None = self._of(name, dict, "an object")
        return None if value is None else self.inner(value, name)

    def required_object(self, name: str) -> Fields:
        value = self.object(name)
        if value is None:
            raise self.missing(name)
        return value

    def array(self, name: str) -> list[Any]:
        """A list; an empty one if it is absent."""
        value: list[Any] | None = self._of(name, list, "a list")
        return [] if value is None else value

    def each(self, name: str) -> Iterator[Fields]:
        """Iterates over a list of objects; nothing if it is absent."""
        for index, row in enumerate(self.array(name)):
            place = f"{name}.{index}" if self._dotted else f"{name}[{index}]"
            if not isinstance(row, dict):
                raise checks.wrong_type(self.param(place), "an object", row)
            yield self.inner(row, place)

    def rows(self, name: str) -> list[Fields]:
        """The objects of a list, all checked to be objects first."""
        return [] if self.given.get(name) is None else [*self.each(name)]

    def rest(self, *known: str) -> dict[str, Any]:
        """The fields that are neither known nor null."""
        return {name: value for name, value in self.given.items() if value is not None and name not in known}

    def wrong_type(self, name: str, expected: str) -> InvalidRequest:
        return checks.wrong_type(self.param(name), expected, self.given.get(name))

    def wrong(self, name: str, message: str, code: str = "invalid_value") -> InvalidRequest:
        return InvalidRequest(f"{self.param(name)} {message}", param=self.param(name), code=code)

    def unsupported(self, name: str, message: str) -> InvalidRequest:
        """The error for a value that is valid in this dialect but not supported by the gateway."""
        return self.wrong(name, message, "unsupported_value")

    def missing(self, name: str) -> InvalidRequest:
        return self.wrong(name, "is required.", "missing_required_parameter")

    def _of(self, name: str, kind: type, expected: str) -> Any:
        value = self.given.get(name)
        if value is not None and not isinstance(value, kind):
            raise self.wrong_type(name, expected)
        return value

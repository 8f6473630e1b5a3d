"""Kinds of work with prices of their own: by a header, by the API key, or by the request's metadata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import model_validator

from gateway.core.call import Call
from gateway.core.errors import InvalidRequest
from gateway.core.strict import Price, StrictSettings, Unit

# The header by which a client names the class of its request.
CLASS_HEADER = "x-thinkgate-class"


class WorkClass(StrictSettings):
    """One kind of requests, and its prices. The header `x-thinkgate-class` names it, `keys` and `metadata` match it.

    The header decides alone; otherwise the first class in the file that has the key, or all of the metadata.
    """

    keys: list[str] = []
    """Ids of API keys all of whose requests are of this class."""
    metadata: dict[str, str] = {}
    """What the request's own `metadata` holds, all of it."""
    dial: Unit | None = None
    """The position of the dial, where the client names none."""
    price_of_token: Price = 0.0
    price_of_waiting: Price = 0.0
    """What is added to the prices of a token and of a second, in units of P(correct)."""

    @model_validator(mode="after")
    def _changes_something(self) -> WorkClass:
        if self.dial is None and not self.price_of_token and not self.price_of_waiting:
            raise ValueError("it changes nothing: set `dial`, `price_of_token` or `price_of_waiting`")
        return self

    def has(self, call: Call) -> bool:
        """Whether the key or the metadata of a request are its own."""
        if call.key is not None and call.key in self.keys:
            return True
        given = call.body.get("metadata")
        return bool(self.metadata) and isinstance(given, dict) and self.metadata.items() <= _texts(given)

    def describe(self) -> str:
        """For `thinkgate check`."""
        given = (
            (self.dial is not None, f"dial {self.dial}"),
            (self.price_of_token, f"a token costs {self.price_of_token:g} of P(correct) more"),
            (self.price_of_waiting, f"a second of waiting costs {self.price_of_waiting:g} of P(correct) more"),
        )
        return f"{', '.join(words for value, words in given if value)}."


def _texts(given: Mapping[str, Any]) -> Any:
    return {name: value for name, value in given.items() if isinstance(value, str)}.items()


def contradictions(classes: Mapping[str, WorkClass]) -> Iterator[str]:
    """What two classes both ask for, so that only the first of them would ever have it."""
    for key, count in Counter(key for one in classes.values() for key in {*one.keys}).items():
        if count > 1:
            yield f"key {key} is in {count} classes: name it in one"
    tables = [tuple(sorted(one.metadata.items())) for one in classes.values() if one.metadata]
    for table, count in Counter(tables).items():
        if count > 1:
            yield f"{count} classes have the metadata {dict(table)}: give each its own"


@dataclass(frozen=True, slots=True)
class WorkClasses:
    """Those of a model, by name."""

    known: Mapping[str, WorkClass]

    def find(self, call: Call) -> tuple[str, WorkClass] | None:
        """The class of a request, with its name. InvalidRequest: it names one, and the model has only others."""
        if not self.known:
            return None
        if call.workload:
            if call.workload not in self.known:
                known = ", ".join(self.known)
                message = f"{CLASS_HEADER}: the model has no class {call.workload[:40]!r}. It has {known}."
                raise InvalidRequest(message, param=CLASS_HEADER, code="unknown_class")
            return call.workload, self.known[call.workload]
        return next(((name, one) for name, one in self.known.items() if one.has(call)), None)


NO_CLASSES = WorkClasses({})

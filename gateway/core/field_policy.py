"""What a deployment's clients may put into a request: frozen, and free of anything that needs more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FieldPolicy:
    """`denied` has the fields that are refused, each with why. `nests` are objects that hold further fields of the
    engine's, each with the names that it may hold (None: any that is not denied). `values` has the values that a field
    may not have, `most` the largest number or longest list. `tools` are the kinds of tools, None: any. `parts` are the
    kinds of content parts that are refused, `part_keys` the keys that none may have. `local_schemas`: a
    JSON schema may refer to nothing outside of itself.
    """

    denied: Mapping[str, str] = field(default_factory=dict)
    nests: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    tools: frozenset[str] | None = None
    parts: frozenset[str] = frozenset()
    part_keys: frozenset[str] = frozenset()
    local_schemas: bool = False
    watched: frozenset[str] = field(init=False)
    """The fields that need a closer look: a request with none of them is let through at once."""

    def __post_init__(self) -> None:
        names = (*self.denied, *self.nests, *self.values, *self.most)
        object.__setattr__(self, "watched", frozenset(names))


@dataclass(frozen=True, slots=True)
class MediaPolicy:
    """Which URLs of images, sounds, videos and files a request may name.

    `hosts` are the only ones, if there are any: a name, or `*.example.org` for all below it. `private`: hosts that are
    not on the public internet are allowed too.
    """

    schemes: frozenset[str] = frozenset({"https", "http", "data"})
    hosts: tuple[str, ...] = ()
    private: bool = False


@dataclass(frozen=True, slots=True)
class Guard:
    """None: anything goes."""

    fields: FieldPolicy | None = None
    media: MediaPolicy | None = None


OPEN = Guard()

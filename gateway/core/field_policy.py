"""What a deployment's clients may put into a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FieldPolicy:
    """`denied` maps refused fields to the reason. `nests` are objects with further engine fields, each with its allowed
    names (None: any that is not denied). `values` has forbidden values of fields, `most` the largest numbers or longest
    lists. `tools` are the allowed tool types, None: any. `parts` are refused types of content parts, `part_keys` keys
    that no part may have. `local_schemas`: a JSON schema may refer only to itself.
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
    """The fields that need inspection: a request with none of them passes at once."""

    def __post_init__(self) -> None:
        names = (*self.denied, *self.nests, *self.values, *self.most)
        object.__setattr__(self, "watched", frozenset(names))


@dataclass(frozen=True, slots=True)
class MediaPolicy:
    """Which URLs of images, audio, videos and files a request may contain.

    `hosts`, if not empty, are the only allowed ones: a name, or `*.example.org` for all its subdomains. `private`:
    hosts that are not on the public internet are allowed, too.
    """

    schemes: frozenset[str] = frozenset({"https", "http", "data"})
    hosts: tuple[str, ...] = ()
    private: bool = False


@dataclass(frozen=True, slots=True)
class Guard:
    """The policies of a deployment; None: no restriction."""

    fields: FieldPolicy | None = None
    media: MediaPolicy | None = None


OPEN = Guard()

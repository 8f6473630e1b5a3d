"""Builds field policies from the shipped list of denied fields and the operator's changes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.config.problems import faults
from gateway.core.errors import ConfigError
from gateway.core.field_policy import FieldPolicy, Guard, MediaPolicy

Text = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Text], Field(min_length=1)]
Scheme = Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*$")]
Host = Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9_][a-z0-9_.:-]*$")]
SCHEMA_REFERENCES = "$ref"
BY_OPERATOR = "the operator of this gateway does not allow it"


class StrictFields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldSettings(StrictFields):
    """Which request fields clients may set. Others are refused, never dropped."""

    default: bool | None = None
    """Whether to refuse the shipped list of dangerous fields; default: if API keys are required."""
    allow: list[Text] = []
    """Fields of that list that are allowed nevertheless; `tools.<kind>` for a kind of tool, `$ref` for references of
    JSON schemas that lead elsewhere.
    """
    deny: list[Text] = []
    """Further refused fields."""


class MediaSettings(StrictFields):
    """Which URLs a request may make its backend fetch. Names are not resolved: only `hosts` is a reliable limit."""

    check: bool | None = None
    """Whether URLs are checked; by default if API keys are required."""
    schemes: Annotated[list[Scheme], Field(min_length=1)] = ["https", "http", "data"]
    hosts: list[Host] = []
    """If not empty, the only allowed hosts: a name or an address, or `*.example.org` for all its subdomains."""
    private: bool = False
    """Whether hosts that are not on the public internet are allowed."""


class Denied(StrictFields):
    names: Names
    why: Text
    source: Text


class Nests(StrictFields):
    names: Names
    only: Names | None = None
    source: Text


class Values(StrictFields):
    name: Text
    values: Names
    why: Text
    source: Text


class ToolNames(StrictFields):
    kinds: Names
    source: Text


class PartNames(StrictFields):
    kinds: Names
    keys: Names
    source: Text


class DeniedFile(StrictFields):
    """The shipped list."""

    denied: list[Denied]
    nests: list[Nests]
    values: list[Values]
    most: dict[str, int]
    tools: ToolNames
    parts: PartNames


@cache
def shipped() -> DeniedFile:
    """The shipped list. ConfigError: the file is invalid."""
    read = tomllib.loads((files("gateway.config") / "denied.toml").read_text("utf-8"))
    try:
        return DeniedFile.model_validate(read)
    except ValidationError as error:
        raise ConfigError([f"denied.toml: {fault}" for fault in faults(error, DeniedFile)]) from error


def guard(fields: FieldSettings, media: MediaSettings, keyed: bool) -> Guard:
    """`keyed`: clients need API keys. ConfigError: `allow` names a field that is not denied."""
    return Guard(_fields(fields, keyed), _media(media, keyed))


def _fields(given: FieldSettings, keyed: bool) -> FieldPolicy | None:
    if not (keyed if given.default is None else given.default):
        _check_allowed(given, {}, frozenset())
        return FieldPolicy(dict.fromkeys(given.deny, BY_OPERATOR), nests=_nests()) if given.deny else None
    table = shipped()
    denied = {name: row.why for row in table.denied for name in row.names}
    tools = {f"tools.{kind}" for kind in table.tools.kinds}
    loose = frozenset((*table.most, *(row.name for row in table.values), *table.parts.kinds, *table.parts.keys))
    _check_allowed(given, denied, loose)
    tools |= {name for name in given.allow if name.startswith("tools.")}
    return FieldPolicy(
        denied={name: why for name, why in denied.items() if name not in given.allow}
        | dict.fromkeys(given.deny, BY_OPERATOR),
        nests={name: only for name, only in _nests().items() if name not in given.allow},
        values={row.name: frozenset(row.values) for row in table.values if row.name not in given.allow},
        most={name: most for name, most in table.most.items() if name not in given.allow},
        tools=frozenset(name.removeprefix("tools.") for name in tools),
        parts=frozenset(table.parts.kinds) - frozenset(given.allow),
        part_keys=frozenset(table.parts.keys) - frozenset(given.allow),
        local_schemas=SCHEMA_REFERENCES not in given.allow,
    )


def _nests() -> dict[str, frozenset[str] | None]:
    rows = shipped().nests
    return {name: None if row.only is None else frozenset(row.only) for row in rows for name in row.names}


def _check_allowed(given: FieldSettings, denied: Mapping[str, str], loose: frozenset[str]) -> None:
    known = {*denied, *loose, *_nests(), SCHEMA_REFERENCES} if denied else set()
    for name in given.allow:
        if name not in known and not (denied and name.startswith("tools.")):
            raise ConfigError([f"fields.allow: {name!r} is allowed already"])
    both = sorted(set(given.allow) & set(given.deny))
    if both:
        raise ConfigError([f"fields: {both[0]!r} is both allowed and denied"])


def _media(given: MediaSettings, keyed: bool) -> MediaPolicy | None:
    named = bool({"schemes", "hosts", "private"} & given.model_fields_set)
    if not ((keyed or named) if given.check is None else given.check):
        return None
    return MediaPolicy(frozenset(given.schemes), tuple(host.lower() for host in given.hosts), given.private)

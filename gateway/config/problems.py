"""Turns validation errors of settings into one line each, with the nearest valid name."""

from __future__ import annotations

import json
import re
import types
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from gateway.config.one_of import OneOf
from gateway.core.errors import suggestion

Location = tuple[int | str, ...]
_WRITTEN = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "a table",
}
# How pydantic marks that a key of a table is at fault, not its value.
_OF_A_KEY = "[key]"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+").fullmatch
_QUOTED = re.compile(r"\s*([-+]?[0-9_.]+(e[-+]?[0-9]+)?|true|false)\s*", re.IGNORECASE).fullmatch


def faults(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """One line per error; a misspelt required key is reported once."""
    details = error.errors()
    misspelt = {_nearest(detail["loc"], root) for detail in details if detail["type"] == "extra_forbidden"}
    # A value that matches no member of a union is reported once.
    found: dict[str, list[dict[str, Any]]] = {}
    for detail in details:
        if detail["loc"] not in misspelt:
            found.setdefault(_dotted(detail["loc"], root), []).append(dict(detail))
    return [_line(where, errors, root) for where, errors in found.items()]


def _line(where: str, errors: list[dict[str, Any]], root: type[BaseModel]) -> str:
    error = errors[0]
    location: Location = error["loc"]
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key.{suggestion(str(location[-1]), _known(location, root))}"
    if error["type"] == "missing":
        return f"{where}: is required"
    if error["type"] == "model_type":  # pydantic's message contains a class name
        return f"{where}: must be a table{_but(error)}"
    kinds = list(_kinds(_walk(location, root)[0]))
    if error["type"] == "union_tag_invalid":
        return f"{where}.kind: {error['ctx']['tag']!r} is unknown.{suggestion(error['ctx']['tag'], kinds)}"
    if error["type"] == "union_tag_not_found":
        return f"{where}.kind: is required, one of {', '.join(kinds)}"
    first, *others = (str(each["msg"]).removeprefix("Value error, ") for each in errors)
    message = " or ".join([first, *(other.removeprefix("Input should be ") for other in others)])
    return f"{where}: {message[0].lower()}{message[1:]}{_but(error)}"


def _but(error: dict[str, Any]) -> str:
    """The type found, if it is wrong. The value is not shown, as it may be a secret."""
    if not error["type"].endswith(("_type", "_parsing", "int_from_float")):
        return ""
    given = error["input"]
    found = _WRITTEN.get(type(given))
    quoted = isinstance(given, str) and error["type"] in ("int_type", "float_type", "bool_type") and _QUOTED(given)
    return f"; it is {found}{': leave the quotes out' if quoted else ''}" if found else ""


def _dotted(location: Location, root: type[BaseModel]) -> str:
    """`models.tiny.policy.dial`: the path in the file, without pydantic's tags of union members."""
    parts = [f"[{part}]" if isinstance(part, int) else _key(part) for part in _walk(location, root)[1]]
    return ".".join(parts).replace(".[", "[") or "the file"


def _key(name: str) -> str:
    """A key as TOML writes it: quoted unless it has only letters, digits, dashes and underscores."""
    return name if _BARE_KEY(name) else json.dumps(name)


def _known(location: Location, root: type[BaseModel]) -> list[str]:
    """The valid keys of the table in which an unknown one was found."""
    table = _table_if_given(_walk(location[:-1], root)[0])
    return list(table.model_fields) if _is_table(table) else []


def _nearest(location: Location, root: type[BaseModel]) -> Location:
    near = get_close_matches(str(location[-1]), _known(location, root), n=1, cutoff=0.5)
    return (*location[:-1], *near)


def _walk(location: Location, root: type[BaseModel]) -> tuple[Any, list[int | str]]:
    """The type at a location, and the parts of the location that are in the file."""
    here: Any = root
    path: list[int | str] = []
    for part in location:
        if part == _OF_A_KEY:
            continue
        here = _table_if_given(here)
        kinds = _kinds(here)
        if _is_table(here):
            field = here.model_fields.get(part)
            here = _annotation(field) if field else None
            path.append(part)
        elif get_origin(here) is dict:
            here = get_args(here)[1]
            path.append(part)
        elif part in kinds:
            here = kinds[str(part)]
        elif isinstance(part, int):
            here = _item(here) if get_origin(here) is list else None
            path.append(part)
    return here, path


def _annotation(field: FieldInfo) -> Any:
    return next((each.union() for each in field.metadata if isinstance(each, OneOf)), field.annotation)


def _item(annotation: Any) -> Any:
    """The type of a list's items."""
    item = get_args(annotation)[0]
    return next((each.union() for each in getattr(item, "__metadata__", ()) if isinstance(each, OneOf)), item)


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _table_if_given(annotation: Any) -> Any:
    """The table in an optional annotation (`Table | None`); other annotations unchanged."""
    options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else ()
    tables = [option for option in options if _is_table(option)]
    return tables[0] if len(tables) == 1 else annotation


def _kinds(annotation: Any) -> dict[str, type[BaseModel]]:
    """The members of a union of tables, by their `kind`."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) not in (Union, types.UnionType):
        return {}
    options = [option for option in get_args(annotation) if _is_table(option) and "kind" in option.model_fields]
    return {str(get_args(option.model_fields["kind"].annotation)[0]): option for option in options}

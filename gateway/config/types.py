"""The kinds of values in the settings.

Relative paths begin at the folder of the file that they are written in, so that it does not matter where a command is
started. A table that comes from no file has no folder: its paths begin at the working directory, as those of the
command line do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, PlainValidator, ValidationInfo

from router_model.model.shipped import ships

# The routers that are no artifacts; more may be registered.
ROUTER_NAMES = {"none", "constant"}


def _placed(value: Any, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise ValueError("is not a path")
    return _folder(info) / value


def _artifact(name: str, info: ValidationInfo) -> str:
    """A folder beside the configuration comes before an artifact of that name that ships."""
    if info.context is None or name in ROUTER_NAMES:
        return name
    path = _folder(info) / name
    beside = "\0" not in name and (path / "artifact.json").is_file()
    return str(path) if beside or not ships(name) else name


def _folder(info: ValidationInfo) -> Path:
    folder = info.context
    return folder if isinstance(folder, Path) else Path()


ConfigPath = Annotated[Path, PlainValidator(_placed)]
"""A path; with a folder as the context of validation, relative ones begin there."""
RouterName = Annotated[str, AfterValidator(_artifact)]
"""`none`, `constant`, or an artifact: the name of one that ships, or a path as above."""


def folder_of(config: Path) -> Path:
    """Where relative paths in this file begin. What is no plain file, such as a pipe, lies nowhere."""
    return config.parent if config.is_file() else Path()

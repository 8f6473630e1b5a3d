"""Types of values in the settings.

Relative paths start at the folder of the configuration file, so that they do not depend on the working directory. For
settings that are not from a file they start at the working directory, like those of the command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, PlainValidator, ValidationInfo

from router_model.model.shipped import ships

# The routers that are not artifacts; more may be registered.
ROUTER_NAMES = {"none", "constant"}


def _resolve(value: Any, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise ValueError("is not a path")
    return _folder(info) / value


def _artifact(name: str, info: ValidationInfo) -> str:
    """A folder beside the configuration takes precedence over a shipped artifact of the same name."""
    if info.context is None or name in ROUTER_NAMES:
        return name
    path = _folder(info) / name
    beside = "\0" not in name and (path / "artifact.json").is_file()
    return str(path) if beside or not ships(name) else name


def _folder(info: ValidationInfo) -> Path:
    folder = info.context
    return folder if isinstance(folder, Path) else Path()


ConfigPath = Annotated[Path, PlainValidator(_resolve)]
"""A path; relative ones start at the folder in the validation context, if there is one."""
RouterName = Annotated[str, AfterValidator(_artifact)]
"""`none`, `constant`, or an artifact: the name of a shipped one, or a path."""


def folder_of(config: Path) -> Path:
    """The folder at which relative paths in a configuration start; the working directory if that is no regular file."""
    return config.parent if config.is_file() else Path()

"""Prints text in 80 columns, independent of the terminal, so that it can be pasted anywhere."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tqdm import tqdm

COLUMNS = 80


def fit(line: str, hang: int | None = None) -> str:
    """The line wrapped between words. Continuation lines are indented by `hang`, or by two more than the line itself.
    Paths and URLs are never broken.
    """
    if len(line) <= COLUMNS:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 2 if hang is None else hang)
    return textwrap.fill(line, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def say(text: str = "", err: bool = False, hang: int | None = None) -> None:
    """Print text, with each line wrapped."""
    for line in text.split("\n"):
        click.echo(fit(line, hang), err=err)


def say_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def progress_of(total: int, unit: str, leave: bool = True) -> tqdm[Any]:
    """A progress bar on a terminal, also if its width is unknown; nothing elsewhere."""
    from tqdm import tqdm

    size = shutil.get_terminal_size()
    columns = min(size.columns, COLUMNS) - 1
    return tqdm(total=total, unit=unit, disable=None, leave=leave, ncols=columns, nrows=size.lines)


def stored(what: str, path: Path) -> None:
    """Print where something is stored, as an absolute path on its own line."""
    say(f"{what} in", err=True)
    say(f"  {path.absolute()}", err=True)

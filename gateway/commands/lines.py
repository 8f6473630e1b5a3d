"""Lines for people: of 80 columns, whatever the terminal has, so that they can be pasted anywhere."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tqdm import tqdm

COLUMNS = 80


def fit(line: str, hang: int | None = None) -> str:
    """The line, broken between words; what goes on is indented by `hang`, or two more than it is itself. A path or a
    URL stays in one piece, however long.
    """
    if len(line) <= COLUMNS:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 2 if hang is None else hang)
    return textwrap.fill(line, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def say(text: str = "", err: bool = False, hang: int | None = None) -> None:
    """Print it, line by line, each within the columns."""
    for line in text.split("\n"):
        click.echo(fit(line, hang), err=err)


def progress_of(total: int, unit: str, leave: bool = True) -> tqdm[Any]:
    """A bar on a terminal, also on one that does not say how wide it is; nothing elsewhere."""
    from tqdm import tqdm

    size = shutil.get_terminal_size()
    columns = min(size.columns, COLUMNS) - 1
    return tqdm(total=total, unit=unit, disable=None, leave=leave, ncols=columns, nrows=size.lines)


def stored(what: str, path: Path) -> None:
    """Say where something went, by a path that holds wherever it is read, on a line of its own."""
    say(f"{what} in", err=True)
    say(f"  {path.absolute()}", err=True)

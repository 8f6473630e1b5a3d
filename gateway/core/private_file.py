"""Files for their owner's eyes only, made without ever opening one that is there, and one that others may read told of.

POSIX drops all locks that a process holds on a file when it closes any descriptor of it, SQLite's own included. So a
database that some part of this process may have open is opened by SQLite alone: never to read its first bytes, to look
at its mode, or to make sure that it is there.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o600, 0o700


def make(path: Path) -> None:
    """Make an empty file of mode 0600, and its folder, if it is not there. OSError: it cannot be made."""
    path = path.resolve()
    make_folder(path.parent)
    if path.exists():
        return
    descriptor, unnamed = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    try:
        # Closed before it has its name: nobody can hold a lock on it that this would drop.
        os.link(unnamed, path)
    except FileExistsError:
        pass  # another process, or another thread, was first
    except OSError:
        # Some file systems have no links.
        path.touch(FILE_MODE)
    finally:
        Path(unnamed).unlink()


def make_folder(path: Path) -> None:
    """The folder, and those above it that are missing, of mode 0700. OSError: it cannot be made."""
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        folder.mkdir(FOLDER_MODE, exist_ok=True)


def open_to_others(path: Path) -> str | None:
    """Who else may read or change a file or folder, in words; None: nobody, or it is not there."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return None
    closed = FOLDER_MODE if stat.S_ISDIR(mode) else FILE_MODE
    return f"{path} is open to other users of this machine (mode {stat.S_IMODE(mode):03o}): chmod {closed:03o} {path}"

"""Creates files that only their owner can read, without opening existing ones, and detects files that others can read.

POSIX drops all locks of a process on a file, SQLite's included, when the process closes any descriptor of it. So only
SQLite opens a database that this process may have open: not even its first bytes are read directly.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o600, 0o700


def make(path: Path) -> None:
    """Create an empty file of mode 0600, and its folder, if missing. OSError: it cannot be created."""
    path = path.resolve()
    make_folder(path.parent)
    if path.exists():
        return
    descriptor, unnamed = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    try:
        # Closed before it gets its name, so that this drops nobody's lock.
        os.link(unnamed, path)
    except FileExistsError:
        pass  # another process, or another thread, was first
    except OSError:
        # Some file systems have no hard links.
        path.touch(FILE_MODE)
    finally:
        Path(unnamed).unlink()


def replace(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 whole, in place of what was there. OSError: it cannot be written, and stays so."""
    descriptor, unnamed = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(unnamed).replace(path)
    except BaseException:
        Path(unnamed).unlink()
        raise


def make_folder(path: Path) -> None:
    """Create the folder and its missing parents with mode 0700. OSError: it cannot be created."""
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        folder.mkdir(FOLDER_MODE, exist_ok=True)


def open_to_others(path: Path) -> str | None:
    """A warning if others may read or change a file or folder; None: they may not, or it is missing."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return None
    closed = FOLDER_MODE if stat.S_ISDIR(mode) else FILE_MODE
    return f"{path} is open to other users of this machine (mode {stat.S_IMODE(mode):03o}): chmod {closed:03o} {path}"

"""Files for their owner's eyes only, made without ever opening one that is there.

POSIX drops all locks that a process holds on a file when it closes any descriptor of it, SQLite's own included. So a
database that some part of this process may have open is opened by SQLite alone: never to read its first bytes, to look
at its mode, or to make sure that it is there.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def make(path: Path) -> None:
    """Make an empty file of mode 0600, and its folder, if it is not there. OSError: it cannot be made."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
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
        path.touch(0o600)
    finally:
        Path(unnamed).unlink()

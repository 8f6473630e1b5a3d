"""Writes output files atomically: an existing file stays until the new one is complete.

Every failure is an OSError that names the requested file.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path


def put(path: Path, data: bytes | str) -> None:
    """Write a file; text in UTF-8."""
    raw = data.encode() if isinstance(data, str) else data
    put_by(path, lambda new: _written(new, raw))


def put_together(files: Mapping[Path, bytes]) -> None:
    """Write several files, which replace existing ones only after all are complete, in this order."""
    with ExitStack() as stack:
        new = {}
        for path, raw in files.items():
            new[path] = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
            stack.callback(new[path].unlink, missing_ok=True)
            try:
                _written(new[path], raw)
            except OSError as error:
                raise OSError(error.errno, _message(error), str(path)) from error
        for path in files:
            new[path].replace(path)


def put_by(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary path beside this one, then move the result to `path`.

    A pipe or device is written to directly.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            write(target)
            return
        new = target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")
        try:
            write(new)
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(error.errno, _message(error), str(path)) from error


def can_put(path: Path, folders: bool = False) -> None:
    """Check that a file can be created here; `folders`: missing parent folders will be created."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        return
    while not target.parent.exists() and folders:
        target = target.parent
    probe = target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(error.errno, _message(error), str(path)) from error


def _written(path: Path, raw: bytes) -> None:
    with path.open("wb") as file:
        file.write(raw)
        file.flush()
        if path.is_file():
            os.fsync(file.fileno())


def _message(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)

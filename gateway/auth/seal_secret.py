"""The signing secret of a gateway that is configured with none: generated once, in a file only its owner can read."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from pathlib import Path

from gateway.core import private_file
from gateway.core.errors import ConfigError

_BYTES = 32
_SHAPE = re.compile(f"[0-9a-f]{{{2 * _BYTES}}}")


def stored_secret(path: Path) -> str:
    """The secret in this file, created if missing; all workers get the same one. ConfigError: it cannot be read."""
    try:
        private_file.make_folder(path.parent)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "r+", encoding="ascii", errors="replace") as file:
            # A second process waits here, then reads what the first one wrote.
            fcntl.flock(file, fcntl.LOCK_EX)
            secret = file.read()
            if not secret:
                secret = secrets.token_hex(_BYTES) + "\n"
                file.write(secret)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise ConfigError([f"signing: the secret in {path} cannot be used: {error.strerror or error}"]) from error
    if not _SHAPE.fullmatch(secret.strip()):
        raise ConfigError([f"signing: {path} is not a Thinkgate signing secret"])
    return secret.strip()

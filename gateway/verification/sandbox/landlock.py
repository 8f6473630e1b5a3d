"""Leaves this process only some folders to read, and none to write (Linux 5.13 and later, Landlock)."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

CREATE, ADD, RESTRICT = 444, 445, 446
ASK_VERSION, BENEATH = 1, 1
EXECUTE, READ_FILE, READ_FOLDER = 1 << 0, 1 << 2, 1 << 3
# How many rights on files, to TCP ports, and of what reaches beyond, each version knows.
_FILES = {1: 13, 2: 14, 3: 15, 4: 15}
MOST_FILES, PORTS, SCOPES = 16, 2, 2


def version(libc: ctypes.CDLL) -> int:
    """The version of the kernel's interface; 0: it has none."""
    return max(int(libc.syscall(CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(ASK_VERSION))), 0)


def restrict(libc: ctypes.CDLL, readable: Iterable[str]) -> None:
    """From now on, in this process and for good. OSError: the kernel cannot. It needs `no_new_privs`."""
    known = version(libc)
    if not known:
        raise OSError(ctypes.get_errno(), "the kernel has no Landlock")
    handled = (1 << _FILES.get(known, MOST_FILES)) - 1
    parts = [handled, (1 << PORTS) - 1, (1 << SCOPES) - 1][: 1 if known < 4 else 2 if known < 6 else 3]
    rules = struct.pack(f"{len(parts)}Q", *parts)
    ruleset = _checked(libc.syscall(CREATE, rules, ctypes.c_size_t(len(rules)), ctypes.c_uint32(0)))
    for path in readable:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # not on this machine
        allowed = READ_FILE | READ_FOLDER if os.path.isdir(path) else READ_FILE  # noqa: PTH112 - no imports in here
        _checked(libc.syscall(ADD, ruleset, BENEATH, struct.pack("=Qi", allowed, place), ctypes.c_uint32(0)))
        os.close(place)
    _checked(libc.syscall(RESTRICT, ruleset, ctypes.c_uint32(0)))
    os.close(ruleset)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "the kernel refuses the rules of Landlock")
    return result

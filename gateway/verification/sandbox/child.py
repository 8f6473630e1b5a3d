"""The process that runs a model's code and its tests: it gives up all that it can, then runs them.

Run as a program, with a JSON object on its input; it writes one line, and only after everything has run.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
import sysconfig
from typing import Any

from gateway.verification.sandbox import landlock, seccomp

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, SIGKILL = 1, 38, 9
CAPABILITIES_V3 = 0x20080522
# What the interpreter and its libraries are read from.
SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/dev/null", "/dev/urandom", "/etc/ld.so.cache")
NOT_ISOLATED = 3


def main() -> None:
    job = json.loads(sys.stdin.buffer.read())
    out = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    _limit(job["limits"])
    try:
        _isolate()
    except OSError:
        if job["required"]:
            os._exit(NOT_ISOLATED)
    sys.path[:] = [path for path in sys.path if path.startswith(sys.base_prefix)]
    sys.modules.pop("__main__")
    passed, total = run(job["code"], job["tests"])
    os.write(out, f"{job['token']} {passed} {total}\n".encode())
    # Whatever threads and handlers the code has left do not run.
    os._exit(0)


def run(code: str, tests: str) -> tuple[int, int]:
    """How many of how many tests pass: each function `test_...` is one, and what else `tests` does is one as well,
    if there is no such function. None does where the code or the tests cannot be run.
    """
    space: dict[str, Any] = {"__name__": "answer", "__builtins__": __builtins__}
    try:
        exec(compile(code, "<answer>", "exec"), space)
        before = set(space)
        exec(compile(tests, "<tests>", "exec"), space)
    except BaseException:
        return 0, 1
    found = [space[name] for name in [*space] if name.startswith("test_") and name not in before]
    functions = [each for each in found if callable(each)]
    return (sum(map(_passes, functions)), len(functions)) if functions else (1, 1)


def _passes(function: Any) -> bool:
    try:
        function()
    except BaseException:
        return False
    return True


def _limit(limits: dict[str, int]) -> None:
    """Seconds of CPU time, bytes of memory, bytes of a file, processes, open files; and no core dump."""
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, name), (value, value))


def _isolate() -> None:
    """OSError: some of it cannot be had here; the rest is."""
    libc = ctypes.CDLL(None, use_errno=True)
    failed = None
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header, none = (ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0), (ctypes.c_uint32 * 6)()
    libc.capset(header, none)
    paths = sysconfig.get_paths()
    try:
        landlock.restrict(libc, (*SYSTEM, paths["stdlib"], paths["platstdlib"], "."))
    except OSError as error:
        failed = error
    try:
        if not seccomp.is_known():
            raise OSError("no filter of system calls for this machine")
        seccomp.deny(libc)
    except OSError as error:
        failed = error
    if failed is not None:
        raise failed


if __name__ == "__main__":
    main()

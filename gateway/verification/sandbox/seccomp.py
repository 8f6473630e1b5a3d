"""Denies system calls to this process, by a filter in the kernel (Linux, seccomp).

Denied are: sockets of any kind, new processes, other programs, signals to and memory of other processes, shared memory,
limits of its own, namespaces, mounts, keys, and interfaces to the kernel that are large and rarely needed.
"""

from __future__ import annotations

import ctypes
import platform
import struct
from typing import NamedTuple

PR_SET_SECCOMP, FILTER = 22, 2
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
EPERM, ENOSYS = 1, 38
# Instructions of the filter: load a word, jump if equal, jump if any bit is set, jump if at least, return.
LOAD, EQUAL, ANY_BIT, AT_LEAST, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
# Where the filter finds the call's number, the architecture and the lower half of the first argument.
NUMBER, ARCHITECTURE, FIRST = 0, 4, 16
CLONE_THREAD = 0x10000
X32 = 0x40000000

_EVERYWHERE = (424, 425, 426, 434, 438)  # pidfd_send_signal, io_uring_setup, io_uring_enter, pidfd_open, pidfd_getfd
CLONE3 = 435


class Architecture(NamedTuple):
    """`audit` is its number in the kernel, `clone` that of the call which makes threads as well as processes."""

    audit: int
    clone: int
    denied: tuple[int, ...]


ARCHITECTURES = {
    "x86_64": Architecture(
        0xC000003E,
        56,
        # socket, socketpair, fork, vfork, execve, execveat, kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo
        (
            *(41, 53, 57, 58, 59, 322, 62, 200, 234, 129, 297),
            # shmget, shmat, semget, msgget, memfd_create, ptrace, process_vm_readv, process_vm_writev, setrlimit,
            # prlimit64
            *(29, 30, 64, 68, 319, 101, 310, 311, 160, 302),
            # mount, umount2, chroot, unshare, setns, add_key, request_key, keyctl, perf_event_open, bpf, userfaultfd
            *(165, 166, 161, 272, 308, 248, 249, 250, 298, 321, 323),
            # setpriority, sched_setaffinity, sched_setscheduler
            *(141, 203, 144),
        ),
    ),
    "aarch64": Architecture(
        0xC00000B7,
        220,
        # The same, in the same order; there is no fork and no vfork.
        (
            *(198, 199, 221, 281, 129, 130, 131, 138, 240),
            *(194, 196, 190, 186, 279, 117, 270, 271, 164, 261),
            *(40, 39, 51, 97, 268, 217, 218, 219, 241, 280, 282),
            *(140, 122, 119),
        ),
    ),
}


def is_known() -> bool:
    return platform.system() == "Linux" and platform.machine() in ARCHITECTURES


def filter_of(architecture: Architecture) -> bytes:
    """The filter's program: eight bytes an instruction."""
    deny = (RETURN, 0, 0, ERRNO | EPERM)
    program = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, architecture.audit), (RETURN, 0, 0, KILL)]
    program += [(LOAD, 0, 0, NUMBER), (AT_LEAST, 0, 1, X32), deny]
    # The library then falls back to clone, whose flags a filter can read.
    program += [(EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, ERRNO | ENOSYS)]
    for number in (*architecture.denied, *_EVERYWHERE):
        program += [(EQUAL, 0, 1, number), deny]
    program += [(EQUAL, 0, 3, architecture.clone), (LOAD, 0, 0, FIRST), (ANY_BIT, 1, 0, CLONE_THREAD), deny]
    program.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("HBBI", *each) for each in program)


def deny(libc: ctypes.CDLL) -> None:
    """From now on, in this process and for good. OSError: the kernel cannot. It needs `no_new_privs`."""
    program = filter_of(ARCHITECTURES[platform.machine()])
    kept = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(kept)))
    if libc.prctl(PR_SET_SECCOMP, FILTER, header, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel takes no filter of system calls")

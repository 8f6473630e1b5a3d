"""Closes a listener without resetting connections, while another process listens on the same port."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys

# From <asm-generic/socket.h> of Linux; Python has no name for it.
SO_ATTACH_FILTER = 26
# Classic BPF (bpf(4), socket(7)), which sees a packet from its TCP header on. Byte 13 has the flags; with SYN (2) among
# them the packet is dropped, else all of it passes: a handshake that has begun can end.
_NO_NEW_CONNECTIONS = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte at 13
        (0x45, 0, 1, 0x02),  # is SYN set? then the next one, else the one after it
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 0xFFFFFFFF),  # pass
    )
)


def refuse_new_connections(listener: socket.socket) -> None:
    """Make the kernel drop SYN packets, which clients send again after about a second.

    By then `listener` is closed, and the other process gets them. Otherwise Linux resets connections that arrive
    between the last `accept` and the closing. Does nothing on other systems.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_NO_NEW_CONNECTIONS)
    length = len(_NO_NEW_CONNECTIONS) // 8
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", length, ctypes.addressof(program)))

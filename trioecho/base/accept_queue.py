"""How many connections wait in the kernel to be accepted."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys

import trio

# Where a system does not give the number. It is the longest queue that Linux allows unless it
# is configured otherwise (net.core.somaxconn); other systems allow less.
LONGEST_QUEUE = 4096

# Of Linux's struct tcp_info: the state, and after seven bytes and four numbers, two numbers
# that on a socket which listens are the length of its queue, and the longest it may be.
_TCP_INFO = struct.Struct("=B7x16xII")
_LISTENS = 10


def queue_length(listening: socket.socket | trio.socket.SocketType, *, else_at_most: int) -> int:
    """Return how many connections wait to be accepted, or ``else_at_most`` where that is not known."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # not TCP, but a Unix socket
            info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
            if len(info) == _TCP_INFO.size:
                state, length, longest = _TCP_INFO.unpack(info)
                if state == _LISTENS and longest:
                    return int(length)
    return else_at_most

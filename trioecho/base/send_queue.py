"""What a socket has been given to send, and its peer's system has not taken yet."""

from __future__ import annotations

import contextlib
import socket
import struct

with contextlib.suppress(ImportError):  # Windows has none of these
    import fcntl
    import termios

_INT = struct.Struct("=i")


def count_in_send_queue(connection: socket.socket) -> int:
    """Return how many bytes that is: for TCP, what is not acknowledged; 0 where the system does not tell.

    See tcp(7) and unix(7), SIOCOUTQ; a FIN counts as a byte.
    """
    if not hasattr(socket, "TCP_INFO") or not hasattr(socket, "SO_PEERCRED"):  # not Linux
        return 0
    try:
        # The same number as SIOCOUTQ.
        count: int = _INT.unpack(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, _INT.pack(0)))[0]
    except OSError:  # it is lost
        return 0
    return count

"""How to end a TCP connection with a reset."""

from __future__ import annotations

import contextlib
import socket
import struct

import trio

# On, with 0 seconds: the close discards what is unsent and resets the connection.
_NO_LINGER = struct.pack("ii", 1, 0)


def reset_at_close(sock: socket.socket | trio.socket.SocketType) -> None:
    """Make the close of a socket reset the connection; does nothing if the connection is gone."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)

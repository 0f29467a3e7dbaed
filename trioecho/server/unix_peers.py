"""What the log calls the peers of a Unix socket, which have no addresses."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import sys

from ..base.addresses import format_address
from ..base.unix_socket import has_unix_sockets

# Of Linux's struct ucred: the process, its user, its group.
_CREDENTIALS = struct.Struct("3i")


class UnixPeers:
    """Names them by the socket, a number, and the process where the system says it.

    Args:
      listening: their connections come from it.
    """

    def __init__(self, listening: socket.socket) -> None:
        self._where = format_address(listening.getsockname())
        self._numbers = itertools.count(1)

    def name(self, connection: socket.socket) -> str:
        """Return what to call the peer of a connection: ``unix:/run/echo.sock #7 (process 4711)``."""
        process = 0
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                asked = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
                process = _CREDENTIALS.unpack(asked)[0]
        # It is 0 where the process is in another container.
        return f"{self._where} #{next(self._numbers)}{f' (process {process})' if process else ''}"


def open_unix_peers(listening: socket.socket) -> UnixPeers | None:
    """Return what names the peers of a socket; None if they have addresses."""
    return UnixPeers(listening) if has_unix_sockets() and listening.family == socket.AF_UNIX else None

"""The PROXY header with which each connection of a load begins, as if a balancer had opened it."""

from __future__ import annotations

import errno
import os
import socket

import trio

from ...base.proxy_header import encode_proxy_header
from ..service_traits import ProxyHeaders


def send_proxy_header_nowait(plain: socket.socket, version: ProxyHeaders) -> None:
    """Send the header of a connection that has just been opened, with its own addresses.

    Raises:
      OSError: it cannot be sent.
    """
    header = encode_proxy_header(version, plain.getsockname(), plain.getpeername())
    if plain.send(header) < len(header):  # nothing else is in the kernel's buffer yet
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))


async def send_proxy_header(connection: trio.socket.SocketType, version: ProxyHeaders) -> None:
    """Do the same where it may wait."""
    header = encode_proxy_header(version, connection.getsockname(), connection.getpeername())
    while header:
        header = header[await connection.send(header) :]

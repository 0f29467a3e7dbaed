"""The listening sockets of workers.

On a TCP port each worker has one of its own: they share the port, so that the kernel divides connections
among them. A Unix socket has one queue, from which all workers accept, and so has a port whose
socket another process has, too: what the kernel puts into the queues of further sockets would be lost
when they are closed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Container, Sequence

import trio

# The kernel lowers it to its own limit (net.core.somaxconn); trio.open_tcp_listeners asks for the same.
_BACKLOG = 0xFFFF


def can_share_ports() -> bool:
    """Return whether this system lets sockets share a port, and processes inherit them."""
    return os.name == "posix" and hasattr(socket, "SO_REUSEPORT")


async def open_shares(
    listeners: Sequence[trio.SocketListener], number: int, *, shared: Container[trio.SocketListener] = ()
) -> list[list[trio.socket.SocketType]]:
    """Return sockets on the ports of ``listeners``, a list for each of ``number`` workers.

    The first worker gets the sockets of the listeners. They must have been bound in the
    ordinary way. That claims their ports: it fails when another program listens there,
    also on a port that could be shared. Only then are they opened for sharing (the option
    takes effect on a bound socket, too). So there is no moment in which two services could
    share a port by mistake, or in which a claimed port is free.

    Of ``shared`` ones, and of Unix sockets, all workers get duplicates.

    Raises:
      OSError: the system does not let these ports be shared.
    """
    shares = [[listener.socket for listener in listeners]]
    try:
        has_one_queue = [
            listener in shared or listener.socket.family not in (socket.AF_INET, socket.AF_INET6)
            for listener in listeners
        ]
        for listener, has_one in zip(shares[0], has_one_queue, strict=True):
            if not has_one and number > 1:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for _ in range(1, number):
            share: list[trio.socket.SocketType] = []
            shares.append(share)
            for listener, has_one in zip(shares[0], has_one_queue, strict=True):
                if has_one:
                    share.append(listener.dup())
                    continue
                share.append(trio.socket.socket(listener.family, listener.type, listener.proto))
                await _listen_beside(listener, share[-1])
    except BaseException:
        for share in shares[1:]:
            for opened in share:
                opened.close()
        raise
    return shares


async def _listen_beside(listener: trio.socket.SocketType, beside: trio.socket.SocketType) -> None:
    beside.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    beside.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if listener.family == socket.AF_INET6:
        only_6 = listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        beside.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_6)
    await beside.bind(listener.getsockname())
    beside.listen(_BACKLOG)

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
from typing import NamedTuple

import trio

# The kernel lowers it to its own limit (net.core.somaxconn); trio.open_tcp_listeners asks for the same.
_BACKLOG = 0xFFFF


def can_share_ports() -> bool:
    """Return whether this system lets sockets share a port, and processes inherit them."""
    return os.name == "posix" and hasattr(socket, "SO_REUSEPORT")


class Shares(NamedTuple):
    """The listening sockets of workers.

    Attributes:
      of_workers: a list for each.
      beside: those of them that are neither of a listener, nor duplicates of such sockets.
    """

    of_workers: list[list[trio.socket.SocketType]]
    beside: list[trio.socket.SocketType]


async def open_shares(
    listeners: Sequence[trio.SocketListener],
    number: int,
    *,
    shared: Container[trio.SocketListener] = (),
    beside: Sequence[trio.SocketListener] = (),
) -> Shares:
    """Return sockets on the ports of ``listeners``, a list for each of ``number`` workers.

    The first worker gets the sockets of the listeners. They must have been bound in the
    ordinary way. That claims their ports: it fails when another program listens there,
    also on a port that could be shared. Only then are they opened for sharing (the option
    takes effect on a bound socket, too). So there is no moment in which two services could
    share a port by mistake, or in which a claimed port is free.

    Of ``shared`` ones, and of Unix sockets, all workers get duplicates. Sockets of ``beside`` are
    given to workers before others are opened; the last worker has what is left of them.

    Raises:
      OSError: the system does not let these ports be shared.
    """
    further = {listener.socket: listener.socket.getsockname() for listener in beside}
    shares = Shares([[listener.socket for listener in listeners]], list(further))
    opened: list[trio.socket.SocketType] = []
    try:
        has_one_queue = [
            listener in shared or listener.socket.family not in (socket.AF_INET, socket.AF_INET6)
            for listener in listeners
        ]
        for listener, has_one in zip(shares.of_workers[0], has_one_queue, strict=True):
            if not has_one and number > 1:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for _ in range(1, number):
            share: list[trio.socket.SocketType] = []
            shares.of_workers.append(share)
            for listener, has_one in zip(shares.of_workers[0], has_one_queue, strict=True):
                address = listener.getsockname()
                found = next((each for each, other in further.items() if other == address), None)
                if has_one:
                    opened.append(listener.dup())
                    share.append(opened[-1])
                elif found is not None:
                    del further[found]
                    share.append(found)
                else:
                    opened.append(trio.socket.socket(listener.family, listener.type, listener.proto))
                    shares.beside.append(opened[-1])
                    share.append(opened[-1])
                    await _listen_beside(listener, opened[-1])
        shares.of_workers[-1].extend(further)
    except BaseException:
        for each in opened:
            each.close()
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

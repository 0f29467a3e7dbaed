"""Opens the TCP connections of all commands; a socket that is connected to itself is no server.

A socket that connects to an ephemeral port of its own machine can be given that
very port as its own. TCP then connects it to itself (RFC 9293, simultaneous open):
no server runs, and every byte that is sent comes back, as from a perfect echo.
"""

from __future__ import annotations

import errno
import os
import socket

import trio

from ..base.describe import describe
from ..base.exception_groups import leaves

# A socket that was connected to itself held the port that it asked for. The next one gets another
# port, so a server that began to listen meanwhile, or has another address, is found.
_TRIES = 3
_INTERNET = {socket.AF_INET, socket.AF_INET6}


class SelfConnectionError(ConnectionRefusedError):
    """The socket was connected to itself: nobody listens on that port."""

    def __init__(self) -> None:
        super().__init__(
            errno.ECONNREFUSED, "the socket is connected to itself: no server listens on this port"
        )


async def open_tcp_stream(host: str, port: int, *, source: str | None = None) -> trio.SocketStream:
    """Connect to a host; if it is a name, to its address that answers first (RFC 8305).

    Args:
      host: a name or an address.
      port: TCP port.
      source: an address of this machine to connect from; None for any.

    Raises:
      SelfConnectionError: no server listens; it is a `ConnectionRefusedError`.
      UnicodeError: the name cannot be encoded.
      OSError: no address could be connected to. A cancelled call leaves nothing open.
    """
    for _ in range(_TRIES):
        stream = await trio.open_tcp_stream(host, port, local_address=source)
        if not is_connected_to_itself(stream.socket):
            return stream
        await trio.aclose_forcefully(stream)
    raise SelfConnectionError


async def connect(sock: trio.socket.SocketType, address: object) -> None:
    """Connect a socket to one address; closing it is left to the caller.

    Raises:
      SelfConnectionError: no server listens; it is a `ConnectionRefusedError`.
      OSError: the address cannot be connected to.
    """
    await sock.connect(address)
    if is_connected_to_itself(sock):
        raise SelfConnectionError


def is_connected_to_itself(sock: trio.socket.SocketType | socket.socket) -> bool:
    """Return whether a connected socket is its own peer; of no use for Unix sockets."""
    try:
        return sock.family in _INTERNET and sock.getsockname() == sock.getpeername()
    except OSError:  # reset already: there was somebody else
        return False


# What this machine may be short of: descriptors, memory, or local ports.
_SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL}


def is_shortage(error: OSError | UnicodeError) -> bool:
    """Return whether `open_tcp_stream` or `connect` failed because this machine is short of something."""
    return getattr(_cause(error), "errno", None) in _SHORT_OF


def is_out_of_ports(error: OSError | UnicodeError) -> bool:
    """Return whether this machine has no local port left for the connection, or no address for it."""
    return getattr(_cause(error), "errno", None) == errno.EADDRNOTAVAIL


def why_not_connected(error: OSError | UnicodeError) -> str:
    """Return the reason why `open_tcp_stream` or `connect` failed, in words; never empty."""
    cause = _cause(error)
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused: does the server run, and on this port?"
    if isinstance(cause, socket.gaierror | UnicodeError):
        return f"the host is not known ({describe(cause)})"
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno)  # Trio's words have the address, too
    return describe(cause)


def _cause(error: BaseException) -> BaseException:
    # Trio's own error for all addresses has the cause behind it.
    return next(leaves(error.__cause__ or error))

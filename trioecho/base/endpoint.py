"""Addresses of services, and what can be said of a socket that was to be connected; without Trio.

A Unix socket is written as a host: ``unix:/path``. Its port is 0.

A socket that connects to an ephemeral port of its own machine can be given that
very port as its own. TCP then connects it to itself (RFC 9293, simultaneous open):
no server runs, and every byte that is sent comes back, as from a perfect echo.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from .addresses import UNIX
from .describe import describe
from .exception_groups import leaves
from .unix_socket import check_path, why_refused

if TYPE_CHECKING:
    import trio

INTERNET = {socket.AF_INET, socket.AF_INET6}


class SelfConnectionError(ConnectionRefusedError):
    """The socket was connected to itself: nobody listens on that port."""

    def __init__(self) -> None:
        super().__init__(
            errno.ECONNREFUSED, "the socket is connected to itself: no server listens on this port"
        )


class UnixRefusedError(ConnectionRefusedError):
    """A Unix socket refuses connections.

    Attributes:
      reason: what there is in its place, or that nobody listens.

    Args:
      address: what `socket.connect` takes.
    """

    def __init__(self, address: str | bytes) -> None:
        self.reason: str = why_refused(os.fsdecode(address))
        super().__init__(errno.ECONNREFUSED, self.reason)


def is_unix(host: str) -> bool:
    """Return whether what stands for a host is a Unix socket."""
    return host.startswith(UNIX)


def checked_port(host: str, port: int | None) -> int:
    """Return the port, which a host has to have, and a Unix socket has not.

    Raises:
      ValueError: it is missing, or too much; or the path cannot be one.
    """
    if is_unix(host):
        try:
            check_path(host.removeprefix(UNIX))
        except ValueError as error:
            raise ValueError(f"{host!r} {error}") from None
        if port:
            raise ValueError(f"{host} has no port: leave it out")
        return 0
    if port is None:
        raise ValueError(f"give a port beside the host {host!r}, or unix:/path as the host")
    return port


def tls_name(host: str) -> str:
    """Return whose certificate a server has to have, if nobody says another name."""
    return "localhost" if is_unix(host) else host


def send_at_once(sock: trio.socket.SocketType | socket.socket) -> None:
    """Have a TCP socket send without waiting for the acknowledgement of what was sent before (RFC 896)."""
    if sock.family in INTERNET:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def is_connected_to_itself(sock: trio.socket.SocketType | socket.socket) -> bool:
    """Return whether a connected socket is its own peer; of no use for Unix sockets."""
    try:
        return sock.family in INTERNET and sock.getsockname() == sock.getpeername()
    except OSError:  # reset already: there was somebody else
        return False


# What this machine may be short of: descriptors, memory, or local ports.
_SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL}


def is_shortage(error: OSError | UnicodeError) -> bool:
    """Return whether `open_stream` or `connect` failed because this machine is short of something."""
    return getattr(_cause(error), "errno", None) in _SHORT_OF


def is_out_of_ports(error: OSError | UnicodeError) -> bool:
    """Return whether this machine has no local port left for the connection, or no address for it."""
    return getattr(_cause(error), "errno", None) == errno.EADDRNOTAVAIL


def why_not_connected(error: OSError | UnicodeError) -> str:
    """Return the reason why `open_stream` or `connect` failed, in words; never empty."""
    cause = _cause(error)
    if isinstance(cause, FileNotFoundError):
        return "there is no such socket: does the server run?"
    if isinstance(cause, UnixRefusedError):
        return cause.reason
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

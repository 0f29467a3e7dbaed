"""Opens the connections of all commands; a socket that is connected to itself is no server.

A Unix socket is written as a host: ``unix:/path``. Its port is 0.

A socket that connects to an ephemeral port of its own machine can be given that
very port as its own. TCP then connects it to itself (RFC 9293, simultaneous open):
no server runs, and every byte that is sent comes back, as from a perfect echo.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import trio

from .addresses import UNIX
from .describe import describe
from .exception_groups import leaves
from .unix_socket import address_of_path, check_path, why_refused

# A socket that was connected to itself held the port that it asked for. The next one gets another
# port, so a server that began to listen meanwhile, or has another address, is found.
_TRIES = 3
_INTERNET = {socket.AF_INET, socket.AF_INET6}
# A Unix socket whose queue is full refuses at once, and the kernel has no wait for room (connect(2), EAGAIN).
_UNIX_QUEUE_S = 0.005


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


AddressInfo = tuple[int, int, int, Any]
"""Of a server: the family, kind and protocol of a socket for it, and what `connect` takes."""


async def find_addresses(host: str, port: int) -> list[AddressInfo]:
    """Return the addresses of a host for TCP; of a Unix socket its own.

    Raises:
      OSError, UnicodeError: it has none.
    """
    if is_unix(host):
        await trio.lowlevel.checkpoint()
        return [(socket.AF_UNIX, socket.SOCK_STREAM, 0, address_of_path(host.removeprefix(UNIX)))]
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, kind, protocol, where) for family, kind, protocol, _, where in found]


def send_at_once(sock: trio.socket.SocketType | socket.socket) -> None:
    """Have a TCP socket send without waiting for the acknowledgement of what was sent before (RFC 896)."""
    if sock.family in _INTERNET:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def open_stream(host: str, port: int, *, source: str | None = None) -> trio.SocketStream:
    """Connect to a host; if it is a name, to its address that answers first (RFC 8305).

    Args:
      host: a name or an address, or a Unix socket.
      port: TCP port; of no use for a Unix socket.
      source: an address of this machine to connect from; None for any. Of no use for a Unix socket.

    Raises:
      SelfConnectionError, UnixRefusedError: no server listens; both are a `ConnectionRefusedError`.
      UnicodeError: the name cannot be encoded.
      OSError: no address could be connected to. A cancelled call leaves nothing open.
    """
    if is_unix(host):
        return await _open_unix_stream(host)
    for _ in range(_TRIES):
        stream = await trio.open_tcp_stream(host, port, local_address=source)
        if not is_connected_to_itself(stream.socket):
            return stream
        await trio.aclose_forcefully(stream)
    raise SelfConnectionError


async def _open_unix_stream(host: str) -> trio.SocketStream:
    [(family, kind, protocol, address)] = await find_addresses(host, 0)
    sock = trio.socket.socket(family, kind, protocol)
    try:
        await connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


async def connect(sock: trio.socket.SocketType, address: object) -> None:
    """Connect a socket to one address; closing it is left to the caller.

    Raises:
      SelfConnectionError, UnixRefusedError: no server listens; both are a `ConnectionRefusedError`.
      OSError: the address cannot be connected to.
    """
    try:
        await sock.connect(address)
        while sock.family not in _INTERNET and not _has_peer(sock):
            await trio.sleep(_UNIX_QUEUE_S)
            await sock.connect(address)
    except ConnectionRefusedError:
        if isinstance(address, (str, bytes)):
            raise UnixRefusedError(address) from None
        raise
    if is_connected_to_itself(sock):
        raise SelfConnectionError


def _has_peer(sock: trio.socket.SocketType) -> bool:
    # Trio takes the refusal for a connection that is on its way, and the socket for connected.
    try:
        sock.getpeername()
    except OSError as error:
        return error.errno != errno.ENOTCONN
    return True


def is_connected_to_itself(sock: trio.socket.SocketType | socket.socket) -> bool:
    """Return whether a connected socket is its own peer; of no use for Unix sockets."""
    try:
        return sock.family in _INTERNET and sock.getsockname() == sock.getpeername()
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

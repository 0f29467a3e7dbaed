"""Opens the connections of all commands. What needs no Trio of that is in `endpoint`."""

from __future__ import annotations

import errno
import socket
from typing import Any

import trio

from .addresses import UNIX
from .endpoint import INTERNET, SelfConnectionError, UnixRefusedError, is_connected_to_itself, is_unix
from .unix_socket import address_of_path

# A socket that was connected to itself held the port that it asked for. The next one gets another
# port, so a server that began to listen meanwhile, or has another address, is found.
_TRIES = 3
# A Unix socket whose queue is full refuses at once, and the kernel has no wait for room (connect(2), EAGAIN).
_UNIX_QUEUE_S = 0.005


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


async def open_stream(host: str, port: int) -> trio.SocketStream:
    """Connect to a host; if it is a name, to its address that answers first (RFC 8305).

    Args:
      host: a name or an address, or a Unix socket.
      port: TCP port; of no use for a Unix socket.

    Raises:
      SelfConnectionError, UnixRefusedError: no server listens; both are a `ConnectionRefusedError`.
      UnicodeError: the name cannot be encoded.
      OSError: no address could be connected to. A cancelled call leaves nothing open.
    """
    if is_unix(host):
        return await _open_unix_stream(host)
    for _ in range(_TRIES):
        stream = await trio.open_tcp_stream(host, port)
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
        while sock.family not in INTERNET and not _has_peer(sock):
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

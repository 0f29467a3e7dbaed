"""Where proxies listen: names are looked up first, as that may take any time; then all is bound at once."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

import trio

from ..base.addresses import format_addresses, format_host
from ..base.describe import describe
from ..base.listen_address import TcpAddress

# Another program may have the port that was free on the first address.
_BIND_TRIES = 10


class CannotListenThereError(OSError):
    """A proxy cannot listen where it should; the message says why."""


async def look_up(address: TcpAddress) -> list[tuple[str, int]]:
    """Return the numeric addresses to listen on, each with the port.

    Raises:
      CannotListenThereError: a name is not known.
    """
    found: dict[tuple[str, int], None] = {}
    for host in address.hosts:
        try:
            of_host = await trio.socket.getaddrinfo(
                host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        except (OSError, UnicodeError) as error:
            raise _cannot_listen((host, address.port), error) from error
        found.update({(format_host(each), address.port): None for *_, each in of_host})
    return list(found)


async def open_proxy_listeners(addresses: Sequence[tuple[str, int]]) -> list[trio.SocketListener]:
    """Listen on numeric addresses; port 0 is any that is free, and the same one on all of them.

    Raises:
      CannotListenThereError: that is not possible; nothing is left open.
    """
    for tries_left in reversed(range(_BIND_TRIES)):
        listeners: list[trio.SocketListener] = []
        try:
            for host, port in addresses:
                wanted = port or (listeners[0].socket.getsockname()[1] if listeners else 0)
                try:
                    listeners += await trio.open_tcp_listeners(wanted, host=host)
                except OSError as error:
                    if error.errno == errno.EAFNOSUPPORT and len(addresses) > 1:
                        continue  # the name has addresses of a kind that this machine does not have
                    if error.errno == errno.EADDRINUSE and not port and listeners and tries_left:
                        break
                    raise _cannot_listen((host, wanted), error) from error
            else:
                if listeners:
                    return listeners
                raise CannotListenThereError(f"cannot listen on {format_addresses(addresses)}")
        except BaseException:
            close_listeners(listeners)
            raise
        close_listeners(listeners)
    raise AssertionError("the last try returns or raises")


def close_listeners(listeners: Sequence[trio.SocketListener]) -> None:
    """Close them at once; clients in their queues are reset."""
    for listener in listeners:
        listener.socket.close()


def _cannot_listen(address: tuple[str, int], error: OSError | UnicodeError) -> CannotListenThereError:
    return CannotListenThereError(f"cannot listen on {format_addresses([address])}: {describe(error)}")

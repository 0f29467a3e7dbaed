"""A port for a server that is about to be started, which nobody else takes meanwhile."""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
from collections.abc import Iterator

# Below the range from which systems take the ports of sockets that ask for any (RFC 6335; Linux: 32768).
_FIRST, _LAST = 20_000, 32_767
# A port is claimed by one so far below it.
_BELOW = _LAST - _FIRST + 1
_MOST_TRIES = 1000


@contextlib.contextmanager
def reserved_port(host: str) -> Iterator[int]:
    """Reserve a TCP port until the block is left; by then the server should listen on it.

    A socket that was bound to it would be in the way of a server, which may listen on the same number in
    UDP, too, as those of DNS do. So a UDP socket is bound to another number, which belongs to this one:
    any other run of the suite sees that, and takes another.

    Raises:
      OSError: none is free.
    """
    for _ in range(_MOST_TRIES):
        port = _FIRST + secrets.randbelow(_LAST - _FIRST + 1)
        with socket.socket(type=socket.SOCK_DGRAM) as claim:
            try:
                claim.bind((host, port - _BELOW))
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(type=kind) as sock:
                        sock.bind((host, port))
            except OSError:
                continue
            yield port
            return
    raise OSError(errno.EADDRINUSE, f"no port from {_FIRST} to {_LAST} is free")

"""A port for a server that is about to be started, which nobody else takes meanwhile."""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
from collections.abc import Iterator

# Below the range from which systems take the ports of sockets that ask for any (RFC 6335; Linux: 32768).
_FIRST, _LAST = 20_000, 32_767
_MOST_TRIES = 1000


@contextlib.contextmanager
def reserved_port(host: str) -> Iterator[int]:
    """Reserve a TCP port until the block is left; by then the server should listen on it.

    A socket that was bound to it in TCP would be in the server's way. So it is bound in UDP,
    which has port numbers of its own: any other run of the suite sees that, and takes another.

    Raises:
      OSError: none is free.
    """
    for _ in range(_MOST_TRIES):
        port = _FIRST + secrets.randbelow(_LAST - _FIRST + 1)
        with socket.socket(type=socket.SOCK_DGRAM) as claim:
            try:
                claim.bind((host, port))
                with socket.socket() as sock:
                    sock.bind((host, port))
            except OSError:
                continue
            yield port
            return
    raise OSError(errno.EADDRINUSE, f"no port from {_FIRST} to {_LAST} is free")

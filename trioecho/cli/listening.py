"""The addresses that a service listens on."""

from __future__ import annotations

import errno
import socket

import trio

from ..accepting import format_address
from .result import CommandError

CANNOT_LISTEN = 3  # exit code

_BIND_TRIES = 10


async def open_listeners(host: str, port: int, *, option: str = "--port") -> list[trio.SocketListener]:
    """Listen on every address of the host, on one port, which the user chooses by this option.

    Raises:
      CommandError: that is not possible.
    """
    try:
        for _ in range(_BIND_TRIES):
            listeners = await trio.open_tcp_listeners(port, host=host)
            ports = {listener.socket.getsockname()[1] for listener in listeners}
            if len(ports) == 1:
                return listeners
            # Port 0 and a name with several addresses gave each a port of its own.
            # Try to have the first one's on all; somebody else may hold it elsewhere.
            port = listeners[0].socket.getsockname()[1]
            for listener in listeners:
                await listener.aclose()
            try:
                return await trio.open_tcp_listeners(port, host=host)
            except OSError:
                port = 0
    except (OSError, UnicodeError) as error:
        raise CommandError(CANNOT_LISTEN, why_not_bound(error, host, port, option)) from error
    raise CommandError(CANNOT_LISTEN, f"no port is free on all addresses of {host}; choose one with {option}")


def why_not_bound(error: OSError | UnicodeError, host: str, port: int, option: str = "--port") -> str:
    """What to tell the user, with what to do."""
    where = format_address((host, port))
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"cannot listen on {where}: the host is not known ({error}); try 127.0.0.1, or ::1"
    if number == errno.EADDRINUSE:
        # Not only who listens holds a port: an outgoing connection may have it as its own.
        return (
            f"cannot listen on {where}: another program holds the port, perhaps another trioecho "
            f"(ss -tanp 'sport = :{port}' names it); stop it, or choose another: {option} N, "
            f"or {option} 0 for any that is free"
        )
    if number == errno.EACCES:
        return f"cannot listen on {where}: not permitted; ports below 1024 are the system's"
    if number == errno.EADDRNOTAVAIL:
        return f"cannot listen on {where}: this machine does not have that address; try 127.0.0.1, or ::1"
    return f"cannot listen on {where}: {error}"

"""The addresses that a service listens on."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import trio

from ...base.addresses import format_address, format_host
from ...base.describe import describe
from .exit_codes import ExitCode
from .output import CommandError

_BIND_TRIES = 10


async def open_listeners(
    hosts: str | Sequence[str], port: int, *, option: str = "--port"
) -> list[trio.SocketListener]:
    """Listen on every address of the hosts, on one port, which the user chooses by ``option``.

    Raises:
      CommandError: an address cannot be listened on.
    """
    addresses = [
        pair
        for host in ([hosts] if isinstance(hosts, str) else dict.fromkeys(hosts))
        for pair in await _addresses(host, port, option)
    ]
    # An address of two hosts is listened on once.
    unique = list({address: (host, address) for host, address in reversed(addresses)}.values())[::-1]
    for _ in range(1 if port else _BIND_TRIES):
        listeners: list[trio.SocketListener] = []
        for host, address in unique:
            # Any free port of the first address; another program may hold it on another address.
            wanted = listeners[0].socket.getsockname()[1] if listeners else port
            try:
                listeners += await trio.open_tcp_listeners(wanted, host=address)
            except OSError as error:
                if error.errno == errno.EAFNOSUPPORT and len(unique) > 1:
                    continue  # the name has addresses of a kind that this machine does not have
                for listener in listeners:
                    await listener.aclose()
                if port or not listeners:
                    raise CommandError(
                        ExitCode.UNAVAILABLE, why_not_bound(error, host, port, option)
                    ) from error
                break
        else:
            if listeners:
                return listeners
    raise CommandError(
        ExitCode.UNAVAILABLE, f"no port is free on all of {' and '.join(hosts)}; choose one with {option}"
    )


async def _addresses(host: str, port: int, option: str) -> list[tuple[str, str]]:
    """Return the host with each of its addresses."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise CommandError(ExitCode.UNAVAILABLE, why_not_bound(error, host, port, option)) from error
    return [(host, format_host(address)) for *_, address in found]


def of_one_family(listeners: Sequence[trio.SocketListener]) -> str:
    """Return a hint for users who expect ``::`` to include IPv4; empty if it does not apply."""
    wildcards = {listener.socket.getsockname()[0] for listener in listeners} & {"::", "0.0.0.0"}  # noqa: S104 - looked for
    if wildcards == {"::"}:
        return "[::] is IPv6 only; add --host 0.0.0.0 for IPv4"
    return ""


def why_not_bound(error: OSError | UnicodeError, host: str, port: int, option: str = "--port") -> str:
    """Return why an address cannot be listened on, and what the user can do."""
    where = format_address((host, port))
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"cannot listen on {where}: the host is not known ({describe(error)}); try 127.0.0.1, or ::1"
    if number == errno.EADDRINUSE:
        return (
            f"cannot listen on {where}: {_why_in_use(port)}, or choose another: {option} N, "
            f"or {option} 0 for any that is free"
        )
    if number == errno.EACCES:
        return f"cannot listen on {where}: not permitted; ports below 1024 are the system's"
    if number == errno.EADDRNOTAVAIL:
        return f"cannot listen on {where}: this machine does not have that address; try 127.0.0.1, or ::1"
    return f"cannot listen on {where}: {describe(error)}"


# States of sockets in Linux's /proc/net/tcp.
_TIME_WAIT, _LISTEN = "06", "0A"


def _why_in_use(port: int) -> str:
    """Return what holds a port, and what the user can do."""
    names_it = f"(ss -tanp 'sport = :{port}' names it)"
    states = set(_states(port))
    if not states or _LISTEN in states:
        # The table does not list a socket that is bound and does not listen; other systems have no table.
        return f"another program holds the port, perhaps another trioecho {names_it}; stop it"
    if states == {_TIME_WAIT}:
        return (
            "no program listens there, but a connection that ended a moment ago had the port as its own "
            "(TIME_WAIT); try again in a minute"
        )
    return f"no program listens there, but a connection has the port as its own {names_it}; end it"


def _states(port: int) -> Iterator[str]:
    """Yield the states of all TCP sockets on a port of this machine; none where the system has no table."""
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                if int(local.rpartition(":")[2], 16) == port:
                    yield state

"""The addresses that a service listens on."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import trio

from ...base.addresses import format_address, format_host
from ...base.describe import describe
from .exit_codes import ExitCode
from .output import CommandError

_BIND_TRIES = 10
# The kernel lowers it to its own limit (net.core.somaxconn); trio.open_tcp_listeners asks for the same.
_BACKLOG = 0xFFFF


async def open_listeners(
    hosts: str | Sequence[str], port: int, *, option: str = "--port", is_ipv6_only: bool = True
) -> list[trio.SocketListener]:
    """Listen on every address of the hosts, on one port, which the user chooses by ``option``.

    Args:
      hosts: names or addresses, one or several.
      port: 0 for any that is free.
      option: how the user chooses the port.
      is_ipv6_only: whether ``::`` is IPv6 alone; else it has IPv4, too, and ``0.0.0.0`` beside it is
        left out.

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
    if not is_ipv6_only and any(address == "::" for _, address in unique):
        unique = [pair for pair in unique if pair[1] != "0.0.0.0"]  # noqa: S104 - it is looked for
    for _ in range(1 if port else _BIND_TRIES):
        listeners: list[trio.SocketListener] = []
        for host, address in unique:
            # Any free port of the first address; another program may hold it on another address.
            wanted = listeners[0].socket.getsockname()[1] if listeners else port
            try:
                if is_ipv6_only or ":" not in address:
                    listeners += await trio.open_tcp_listeners(wanted, host=address)
                else:
                    listeners.append(await _open_for_both_families(wanted, address))
            except OSError as error:
                if _is_of_missing_family(error, address) and len(unique) > 1:
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


def _is_of_missing_family(error: OSError, address: str) -> bool:
    # Where IPv6 is switched off, its wildcard is an address that the machine does not have.
    return error.errno == errno.EAFNOSUPPORT or (error.errno == errno.EADDRNOTAVAIL and address == "::")


async def _open_for_both_families(port: int, address: str) -> trio.SocketListener:
    """Listen as `trio.open_tcp_listeners` does, and not for IPv6 alone."""
    found = await trio.socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST
    )
    listening = trio.socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        await listening.bind(found[0][4])
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return trio.SocketListener(listening)


async def _addresses(host: str, port: int, option: str) -> list[tuple[str, str]]:
    """Return the host with each of its addresses."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise CommandError(ExitCode.UNAVAILABLE, why_not_bound(error, host, port, option)) from error
    return [(host, format_host(address)) for *_, address in found]


def of_one_family(listeners: Sequence[trio.SocketListener]) -> str:
    """Return a hint for users who expect ``::`` to include IPv4; empty if it does not apply."""
    wildcards = [
        listener.socket
        for listener in listeners
        if listener.socket.family in (socket.AF_INET, socket.AF_INET6)
        and listener.socket.getsockname()[0] in ("::", "0.0.0.0")  # noqa: S104 - looked for
    ]
    families = {each.family for each in wildcards}
    if families == {socket.AF_INET6} and all(
        each.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) for each in wildcards
    ):
        return "[::] is IPv6 only; --ipv6only off has IPv4, too"
    return ""


def why_not_bound(error: OSError | UnicodeError, host: str, port: int, option: str = "--port") -> str:
    """Return why an address cannot be listened on, and what the user can do."""
    where = format_address((host, port))
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"cannot listen on {where}: the host is not known ({describe(error)}); try 127.0.0.1, or ::1"
    if number == errno.EADDRINUSE:
        other = f": {option} N, or {option} 0 for any that is free"
        if option in ("--listen", "--admin"):  # which have the host, too
            other = " port; 0 is any that is free"
        return f"cannot listen on {where}: {_why_in_use(port)}, or choose another{other}"
    if number == errno.EACCES:
        return f"cannot listen on {where}: not permitted; ports below 1024 are the system's"
    if number == errno.EADDRNOTAVAIL:
        return f"cannot listen on {where}: this machine does not have that address; try 127.0.0.1, or ::1"
    if number == errno.EINVAL and host.lower().startswith("fe80:") and "%" not in host:
        return f"cannot listen on {where}: a link-local address needs its interface, as {host}%eth0"
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

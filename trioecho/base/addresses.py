"""Socket addresses as people write them, and the line in which a server says where it listens."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable

from .printable import printable_line

# Before the path of a Unix socket. In a pair of host and port it stands for the host, and the port is 0.
UNIX = "unix:"


def format_address(address: object) -> str:
    """Return a socket address in words: ``127.0.0.1:80``, ``[fe80::1%eth0]:80``, ``unix:/path``.

    Args:
      address: what ``getsockname`` or ``getpeername`` gave, or a pair of host and port.
    """
    if isinstance(address, bytes):  # of Linux's names without a file
        return f"{UNIX}@{printable_line(address[1:])}"
    if not isinstance(address, tuple):
        return f"{UNIX}{printable_line(str(address))}" if address else "a Unix socket"
    host, port = format_host(address), address[1]
    if host.startswith(UNIX):
        return printable_line(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def format_host(address: tuple[object, ...]) -> str:
    """Return the host of a socket address, with the zone (RFC 4007) where it has one."""
    host = str(address[0])
    if len(address) == 4 and address[3] and "%" not in host:
        scope = address[3]
        assert isinstance(scope, int)  # noqa: S101 - for the type checker
        try:
            zone = socket.if_indextoname(scope)
        except OSError:  # the interface is gone
            zone = str(scope)
        return f"{host}%{zone}"
    return host


def format_addresses(addresses: Iterable[object]) -> str:
    """Return several socket addresses in words, with "and" between them."""
    return " and ".join(map(format_address, addresses))


def listening_line(addresses: Iterable[object]) -> str:
    """Return what a server logs when it listens on these addresses; `listening_port` reads it."""
    return f"listening on {format_addresses(addresses)}"


def listening_port(line: str) -> int | None:
    """Return the port of the first address of a `listening_line`, None if the line is another one."""
    match = re.search(r"listening on \S+:(\d+)(?!\S)", line)
    return None if match is None else int(match[1])

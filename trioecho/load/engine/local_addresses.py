"""From which addresses and ports of this machine a load connects, and what to do when none is left."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Sequence
from pathlib import Path

import trio

from ...base.endpoint import is_out_of_ports, why_not_connected
from ...client.tls_hints import why_no_channel

# Linux: the local port is chosen when the server's address is known, so that others may use it for
# other servers (ip(7)).
_BIND_ADDRESS_NO_PORT: int | None = getattr(trio.socket, "IP_BIND_ADDRESS_NO_PORT", None)
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def source_of(sources: Sequence[str], number: int) -> str | None:
    """Return the address from which the connection of a number is made; None if the system chooses."""
    return sources[number % len(sources)] if sources else None


def choose_port_late(sock: socket.socket | trio.socket.SocketType) -> None:
    """Let the system choose the local port of a socket that will be bound when it is connected."""
    if _BIND_ADDRESS_NO_PORT is not None:
        with contextlib.suppress(OSError):  # a kernel that does not know it chooses at once
            sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)


def check_source(source: str) -> None:
    """Find out whether connections can be made from an address.

    Raises:
      ValueError: they cannot; the message says why.
    """
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as plain:
            plain.bind((source, 0))
    except OSError as error:
        reason = why_not_connected(error)
        if error.errno == errno.EADDRNOTAVAIL:
            reason = "this machine does not have it"
        raise ValueError(f"connections cannot be made from {source}: {reason}") from None


def why_not_opened(error: OSError | UnicodeError, *, is_first: bool = False) -> str:
    """Return why a connection could not be opened, in words, and what to do where ports are used up.

    Args:
      error: of the attempt.
      is_first: whether no other one has shown that this machine can connect to that address.
    """
    if not is_out_of_ports(error):
        return why_no_channel(error)
    what = "no address to connect from, or no port" if is_first else "no local port"
    return (
        f"{what} is left for a connection to this server{_ports_in_words()}: give --source ADDRESS, "
        "several times, open fewer new connections, or widen the range (sysctl net.ipv4.ip_local_port_range)"
    )


def _ports_in_words() -> str:
    try:
        least, most = map(int, _PORT_RANGE.read_text().split())
    except (OSError, ValueError):  # another system
        return ""
    return f" ({most - least + 1:,} for each address, {least} to {most}; a closed one is kept for a minute)"

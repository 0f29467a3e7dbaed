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
from ..churn import parse_source

# Linux: the local port is chosen when the server's address is known, so that others may use it for
# other servers (ip(7)).
_BIND_ADDRESS_NO_PORT: int | None = getattr(trio.socket, "IP_BIND_ADDRESS_NO_PORT", None)
# Linux: packets go over this device, whatever the routes say (socket(7)).
_BIND_TO_DEVICE: int | None = getattr(socket, "SO_BINDTODEVICE", None)
_IPV6 = 6
# What a machine says that does not have an address, a device, or any address of that family.
_NOT_OWN = (errno.EADDRNOTAVAIL, errno.ENODEV, errno.EAFNOSUPPORT)
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def source_of(sources: Sequence[str], number: int) -> str | None:
    """Return the address from which the connection of a number is made; None if the system chooses."""
    return sources[number % len(sources)] if sources else None


def family_of(source: str) -> socket.AddressFamily:
    """Return the family of the addresses to which connections can be made from this one."""
    return socket.AF_INET6 if parse_source(source).address.version == _IPV6 else socket.AF_INET


def bind_to_source(plain: socket.socket, source: str) -> None:
    """Have a socket connected from this address, and over this device if there is one.

    Raises:
      OSError: that is not possible.
    """
    device = parse_source(source).device
    if device:
        if _BIND_TO_DEVICE is None:
            raise OSError(errno.ENOPROTOOPT, "this system cannot choose a device")
        plain.setsockopt(socket.SOL_SOCKET, _BIND_TO_DEVICE, device.encode())
    if _BIND_ADDRESS_NO_PORT is not None:
        with contextlib.suppress(OSError):  # a kernel that does not know it chooses the port at once
            plain.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
    _bind_to_address(plain, source)


def _bind_to_address(plain: socket.socket, source: str) -> None:
    address, device = parse_source(source)
    # A link-local address of IPv6 is one of a device.
    plain.bind((f"{address}%{device}" if device and address.is_link_local else str(address), 0))


def check_source(source: str) -> None:
    """Find out whether connections can be made from an address, and over its device.

    Raises:
      ValueError: they cannot; the message says why.
    """
    error = _try_source(source)
    if error is not None:
        raise _refusal(source, error)


def _try_source(source: str) -> OSError | None:
    """Bind a socket to an address, and over its device; return the error, if there is one."""
    try:
        with socket.socket(family_of(source), socket.SOCK_STREAM) as plain:
            bind_to_source(plain, source)
    except OSError as error:
        return error
    return None


def _refusal(source: str, error: OSError) -> ValueError:
    device = parse_source(source).device
    reason = why_not_connected(error)
    if error.errno == errno.EADDRNOTAVAIL:
        reason = "this machine does not have it"
    elif device and error.errno == errno.ENODEV:
        reason = f"this machine has no network device {device}"
    elif device and error.errno == errno.EPERM:
        reason = f"this user may not choose the network device {device} (CAP_NET_RAW)"
    elif device and error.errno == errno.ENOPROTOOPT:
        reason = "a network device can be chosen on Linux alone; leave out the % and what follows"
    return ValueError(f"connections cannot be made from {source}: {reason}")


def own_sources(sources: Sequence[str]) -> tuple[str, ...]:
    """Return those addresses that this machine has; others are for other machines.

    Raises:
      ValueError: there is none, or connections cannot be made from one that it has; the message says why.
    """
    own: list[str] = []
    of_others: list[ValueError] = []
    for source in sources:
        error = _try_source(source)
        if error is None:
            own.append(source)
        elif _is_of_another(source, error):
            of_others.append(_refusal(source, error))
        else:
            raise _refusal(source, error)
    if of_others and not own:
        raise of_others[0]
    return tuple(own)


def _is_of_another(source: str, error: OSError) -> bool:
    """Return whether a machine does not have an address, or its device, from which it cannot connect."""
    if error.errno in _NOT_OWN:
        return True
    # A device may be refused before anybody has looked for the address.
    try:
        with socket.socket(family_of(source), socket.SOCK_STREAM) as plain:
            _bind_to_address(plain, source)
    except OSError as without_device:
        return without_device.errno in _NOT_OWN
    return False


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
        f"{what} is left for a connection to this server{_ports_in_words()}: give --bind ADDRESS, "
        "several times, open fewer new connections, or widen the range (sysctl net.ipv4.ip_local_port_range)"
    )


def _ports_in_words() -> str:
    try:
        least, most = map(int, _PORT_RANGE.read_text().split())
    except (OSError, ValueError):  # another system
        return ""
    return f" ({most - least + 1:,} for each address, {least} to {most}; a closed one is kept for a minute)"

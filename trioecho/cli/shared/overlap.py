"""Which addresses cannot both be listened on."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

import trio

from ...base.listen_address import TcpAddress

_EVERY_IPV4, _EVERY_IPV6 = "0.0.0.0", "::"  # noqa: S104 - they are looked for


async def numeric_hosts(address: TcpAddress, *, is_ipv6_only: bool = True) -> set[str]:
    """Return what a listener for this address listens on; of a name that is not known nothing.

    Args:
      address: the name is looked up.
      is_ipv6_only: whether ``::`` is IPv6 alone.
    """
    found: set[str] = set()
    for host in address.hosts:
        with contextlib.suppress(OSError, UnicodeError):
            for *_, of_socket in await trio.socket.getaddrinfo(
                host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ):
                found.add(str(of_socket[0]))
    return _with_both_families(found, is_ipv6_only=is_ipv6_only)


def hosts_of_listener(listening: trio.socket.SocketType) -> set[str]:
    """Return what a TCP socket listens on."""
    hosts = {str(listening.getsockname()[0])}
    if listening.family != socket.AF_INET6:
        return hosts
    is_ipv6_only = bool(listening.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    return _with_both_families(hosts, is_ipv6_only=is_ipv6_only)


def overlap(some: Iterable[str], others: Iterable[str]) -> bool:
    """Return whether IP addresses have one in common; one may stand for every address of its family."""
    others = list(others)
    return any(_overlap(one, another) for one in some for another in others)


def _with_both_families(hosts: set[str], *, is_ipv6_only: bool) -> set[str]:
    return hosts | {_EVERY_IPV4} if _EVERY_IPV6 in hosts and not is_ipv6_only else hosts


def _overlap(one: str, another: str) -> bool:
    if (":" in one) != (":" in another):
        return False
    return one == another or not {one, another}.isdisjoint((_EVERY_IPV4, _EVERY_IPV6))

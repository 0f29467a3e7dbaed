"""``--admin`` and what a command itself listens on must be apart."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from pathlib import Path

import trio

from ...base.listen_address import ListenAddress, TcpAddress, UnixAddress
from .exit_codes import ExitCode
from .output import CommandError

_EVERY_IPV4, _EVERY_IPV6 = "0.0.0.0", "::"  # noqa: S104 - they are looked for


async def refuse_same_address(
    admin: ListenAddress, others: Iterable[ListenAddress], what: str, *, is_ipv6_only: bool = True
) -> None:
    """Refuse an address of ``--admin`` that the command itself listens on: one could not have it.

    Args:
      admin: where metrics and probes are served.
      others: where the command itself listens.
      what: that does, as ``the service``.
      is_ipv6_only: whether ``::`` among the others is IPv6 alone.

    Raises:
      CommandError: they have an address in common.
    """
    for other in others:
        if await _are_one(admin, other, is_ipv6_only=is_ipv6_only):
            where = f"{admin}" if str(admin) == str(other) else f"{admin} and {other}"
            raise CommandError(
                ExitCode.WRONG_USAGE,
                f"--admin and {what} have the same address ({where}); choose another one for --admin",
            )


async def _are_one(admin: ListenAddress, other: ListenAddress, *, is_ipv6_only: bool) -> bool:
    if isinstance(admin, TcpAddress) and isinstance(other, TcpAddress):
        if admin.port != other.port or not admin.port:
            return False
        hosts = await _numeric_hosts(other)
        if _EVERY_IPV6 in hosts and not is_ipv6_only:
            hosts.add(_EVERY_IPV4)
        return any(_overlap(one, another) for one in await _numeric_hosts(admin) for another in hosts)
    if isinstance(admin, UnixAddress) and isinstance(other, UnixAddress):
        return _are_one_path(admin.path, other.path)
    return admin == other


def _are_one_path(one: str, another: str) -> bool:
    return Path(one).absolute() == Path(another).absolute()


async def _numeric_hosts(address: TcpAddress) -> set[str]:
    """Return its IP addresses; of a name that is not known none, which is an error elsewhere."""
    found: set[str] = set()
    for host in address.hosts:
        with contextlib.suppress(OSError, UnicodeError):
            for *_, of_socket in await trio.socket.getaddrinfo(
                host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ):
                found.add(str(of_socket[0]))
    return found


def _overlap(one: str, another: str) -> bool:
    if (":" in one) != (":" in another):
        return False
    return one == another or not {one, another}.isdisjoint((_EVERY_IPV4, _EVERY_IPV6))

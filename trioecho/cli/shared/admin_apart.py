"""``--admin`` and what a command itself listens on must be apart."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...base.listen_address import ListenAddress, TcpAddress, UnixAddress
from .exit_codes import ExitCode
from .output import CommandError
from .overlap import numeric_hosts, overlap


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
        hosts = await numeric_hosts(other, is_ipv6_only=is_ipv6_only)
        return overlap(await numeric_hosts(admin), hosts)
    if isinstance(admin, UnixAddress) and isinstance(other, UnixAddress):
        return _are_one_path(admin.path, other.path)
    return admin == other


def _are_one_path(one: str, another: str) -> bool:
    return Path(one).absolute() == Path(another).absolute()

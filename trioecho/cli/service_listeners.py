"""The sockets on which a service listens: TCP and Unix sockets of its own, or passed to it."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import trio

from ..base.addresses import format_address
from ..base.handover import Handover
from ..base.listen_address import ListenAddress, TcpAddress, UnixAddress
from ..base.service_manager import PassedSocketsError, take_socket, take_sockets
from ..base.unix_socket import CannotListenError, Owner, SocketFile, listen_on_path
from .shared.exit_codes import ExitCode
from .shared.listening import open_listeners
from .shared.output import CommandError
from .shared.overlap import hosts_of_listener, numeric_hosts, overlap


@dataclass(frozen=True)
class WhereToListen:
    """What a user has asked for.

    Attributes:
      addresses: where.
      is_ipv6_only: whether ``[::]`` is IPv6 alone.
      unix_mode: of the files of Unix sockets; None leaves it to the umask.
      unix_owner: of these files; None for that of the process.
      option: how the user chooses a port.
    """

    addresses: tuple[ListenAddress, ...]
    is_ipv6_only: bool = True
    unix_mode: int | None = None
    unix_owner: Owner | None = None
    option: str = "--listen"

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.addresses))}{'' if self.is_ipv6_only else ' (ipv6only off)'}"

    @property
    def unused_option(self) -> str:
        """The first option for files of Unix sockets that no address has a use for; empty if there is none.

        To leave it without effect would let everybody in whom it was to keep out.
        """
        if any(isinstance(each, UnixAddress) and each.has_file for each in self.addresses):
            return ""
        given = {"unix_mode": self.unix_mode, "unix_owner": self.unix_owner}
        return next((name for name, value in given.items() if value is not None), "")

    @property
    def why_unused(self) -> str:
        """What to add where there is a Unix socket without a file; empty if there is none."""
        without = next((each for each in self.addresses if isinstance(each, UnixAddress)), None)
        return (
            "" if without is None else f", and {without} has none, so every user of this machine may connect"
        )


@dataclass
class ServiceListeners:
    """What a service listens on.

    Attributes:
      listeners: one for each address.
      beside: on the same addresses, what the workers of the process had that has handed over all this.
      shared: those of them that were passed to this process. Others have them, too, so workers cannot
        have sockets of their own beside them.
      files: of the Unix sockets that this process has made.
      names: what a service manager calls the sockets that it has passed, with their addresses.
    """

    listeners: list[trio.SocketListener] = field(default_factory=list)
    beside: list[trio.SocketListener] = field(default_factory=list)
    shared: set[trio.SocketListener] = field(default_factory=set)
    files: list[SocketFile] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def remove_files(self) -> None:
        """Remove the files of Unix sockets that are still those that were made."""
        while self.files:
            self.files.pop().remove()

    async def aclose(self) -> None:
        """Close all, and leave no file behind."""
        self.remove_files()
        for listener in [*self.listeners, *self.beside]:
            await listener.aclose()

    def addresses(self) -> Iterator[object]:
        """Give the address of each socket."""
        return (listener.socket.getsockname() for listener in self.listeners)


async def open_service_listeners(where: WhereToListen, handover: Handover | None = None) -> ServiceListeners:
    """Listen where the user wants, unless another process has passed sockets to this one.

    That is the one whose place this process takes, or a service manager.

    Args:
      where: where the user wants.
      handover: what the former has handed over.

    Raises:
      CommandError: that is not possible; nothing is left open, and no file is left behind.
    """
    opened = ServiceListeners()
    try:
        if handover is not None:
            _take_over(handover, opened)
            return opened
        for passed in take_sockets(os.environ):
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(passed.socket))
            opened.listeners.append(listener)
            opened.shared.add(listener)
            if passed.name:
                opened.names.append(f"{passed.name} ({format_address(passed.socket.getsockname())})")
        if not opened.listeners:
            for address in dict.fromkeys(where.addresses):
                await _open(address, where, opened)
    except (PassedSocketsError, CannotListenError) as error:
        await opened.aclose()
        raise CommandError(ExitCode.UNAVAILABLE, str(error)) from error.__cause__
    except BaseException:
        await opened.aclose()
        raise
    return opened


def _take_over(handover: Handover, opened: ServiceListeners) -> None:
    for taken, into in ((handover.sockets, opened.listeners), (handover.beside, opened.beside)):
        for each in taken:
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(handover.take(each)))
            into.append(listener)
            if each.is_shared:
                opened.shared.add(listener)
    opened.names += handover.names


async def _open(address: ListenAddress, where: WhereToListen, opened: ServiceListeners) -> None:
    if isinstance(address, TcpAddress):
        try:
            opened.listeners += await open_listeners(
                address.hosts, address.port, option=where.option, is_ipv6_only=where.is_ipv6_only
            )
        except CommandError as error:
            own = await _own_listener_in_the_way(address, opened, is_ipv6_only=where.is_ipv6_only)
            if own is None or not _is_in_use(error.__cause__):
                raise
            raise CommandError(
                ExitCode.UNAVAILABLE,
                f"cannot listen on {address}: this service listens on {own} already; leave one of them out",
            ) from error.__cause__
    elif isinstance(address, UnixAddress):
        listening, file = listen_on_path(address.path, mode=where.unix_mode, owner=where.unix_owner)
        opened.listeners.append(trio.SocketListener(trio.socket.from_stdlib_socket(listening)))
        opened.files += [file] if file is not None else []
    else:
        listening = take_socket(address.number, f"cannot listen on {address}: it")
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        opened.listeners.append(listener)
        opened.shared.add(listener)


async def _own_listener_in_the_way(
    wanted: TcpAddress, opened: ServiceListeners, *, is_ipv6_only: bool
) -> str | None:
    """Return which address of this service has something in common with the wanted one; None if none."""
    hosts = await numeric_hosts(wanted, is_ipv6_only=is_ipv6_only)
    for listener in opened.listeners:
        if listener.socket.family in (socket.AF_INET, socket.AF_INET6):
            host, port, *_ = listener.socket.getsockname()
            if port == wanted.port and overlap(hosts, hosts_of_listener(listener.socket)):
                return format_address((host, port))
    return None


def _is_in_use(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE

"""The sockets on which a service listens: TCP and Unix sockets of its own, or passed to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import trio

from ..base.addresses import format_address
from ..base.listen_address import ListenAddress, TcpAddress, UnixAddress
from ..base.service_manager import PassedSocketsError, take_socket, take_sockets
from ..base.unix_socket import CannotListenError, Owner, SocketFile, listen_on_path
from .shared.exit_codes import ExitCode
from .shared.listening import open_listeners
from .shared.output import CommandError


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


@dataclass
class ServiceListeners:
    """What a service listens on.

    Attributes:
      listeners: all.
      shared: those of them that were passed to this process. Others have them, too, so workers cannot
        have sockets of their own beside them.
      files: of the Unix sockets that this process has made.
      names: what a service manager calls the sockets that it has passed, with their addresses.
    """

    listeners: list[trio.SocketListener] = field(default_factory=list)
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
        for listener in self.listeners:
            await listener.aclose()

    def addresses(self) -> Iterator[object]:
        """Give the address of each socket."""
        return (listener.socket.getsockname() for listener in self.listeners)


async def open_service_listeners(where: WhereToListen) -> ServiceListeners:
    """Listen on what a service manager has passed to this process; if nothing, where the user wants.

    Raises:
      CommandError: that is not possible; nothing is left open, and no file is left behind.
    """
    opened = ServiceListeners()
    try:
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


async def _open(address: ListenAddress, where: WhereToListen, opened: ServiceListeners) -> None:
    if isinstance(address, TcpAddress):
        opened.listeners += await open_listeners(
            address.hosts, address.port, option=where.option, is_ipv6_only=where.is_ipv6_only
        )
    elif isinstance(address, UnixAddress):
        listening, file = listen_on_path(address.path, mode=where.unix_mode, owner=where.unix_owner)
        opened.listeners.append(trio.SocketListener(trio.socket.from_stdlib_socket(listening)))
        opened.files += [file] if file is not None else []
    else:
        listening = take_socket(address.number, f"cannot listen on {address}: it")
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        opened.listeners.append(listener)
        opened.shared.add(listener)

"""``--admin``: where a command serves its metrics and probes over HTTP, and how it listens there."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass

import trio

from ...base.addresses import format_address
from ...base.listen_address import ListenAddress, TcpAddress, UnixAddress, parse_listen_address
from ...base.service_manager import PassedSocketsError, take_socket
from ...base.unix_socket import CannotListenError, SocketFile, listen_on_path
from . import values
from .exit_codes import ExitCode
from .listening import open_listeners
from .output import CommandError
from .required_package import require_packages

# Its connections, and what it listens on.
ADMIN_DESCRIPTORS = 80
_NEEDED = {"hypercorn": "hypercorn", "prometheus_client": "prometheus-client"}


def add_admin_option(parser: argparse._ActionsContainer, pages: str, *, does: str = "read them") -> None:
    """Add ``--admin``; ``pages`` says what is served there, and ``does`` what one can do with it."""
    parser.add_argument(
        "--admin",
        type=_read_address,
        metavar="ADDRESS",
        help=f"serve {pages} over HTTP on HOST:PORT (port 0: any that is free) or unix:/path. Whoever can "
        f"connect can {does}: take 127.0.0.1 (default: off)",
    )
    parser.add_argument(
        "--admin-host",
        type=_read_host,
        metavar="NAME",
        action="append",
        help="with --admin on loopback, also serve who asks for this host, as a proxy in front does; may be "
        "given several times (default: addresses and localhost alone)",
    )


def _read_address(text: str) -> ListenAddress:
    try:
        return parse_listen_address(text)
    except ValueError as error:
        raise values.refusal(text, str(error)) from None


def _read_host(text: str) -> str:
    if re.fullmatch(r"(\[.*\]|[^:]*):\d+", text):
        raise values.refusal(text, "is a host with a port; leave the port out, any is served")
    return values.host(text)


@dataclass(frozen=True)
class AdminAddress:
    """Where ``--admin`` serves.

    Attributes:
      address: to listen on.
      hosts: names by which it is asked for, beside ``localhost``.
    """

    address: ListenAddress
    hosts: tuple[str, ...] = ()


def admin_of(arguments: argparse.Namespace) -> AdminAddress | None:
    """Return where to serve; None for nowhere.

    Raises:
      CommandError: a package that this needs is not installed, or options do not fit.
    """
    address: ListenAddress | None = arguments.admin
    hosts: list[str] = arguments.admin_host or []
    if address is None:
        if hosts:
            raise CommandError(
                ExitCode.WRONG_USAGE, "--admin-host is for --admin: give that, too, or leave it out"
            )
        return None
    require_packages("--admin", _NEEDED, "admin")
    own = address.hosts if isinstance(address, TcpAddress) else ()
    return AdminAddress(address, (*own, *hosts))


@dataclass(frozen=True)
class AdminListeners:
    """What ``--admin`` listens on.

    Attributes:
      listeners: the sockets.
      file: of a Unix socket; None if there is none.
    """

    listeners: tuple[trio.SocketListener, ...]
    file: SocketFile | None = None

    def __str__(self) -> str:
        addresses = [listener.socket.getsockname() for listener in self.listeners]
        words = [
            f"{'http://' if isinstance(address, tuple) else ''}{format_address(address)}"
            for address in addresses
        ]
        return f"admin on {' and '.join(words)}"

    async def aclose(self) -> None:
        """Close all at once, and leave no file behind."""
        if self.file is not None:
            self.file.remove()
        for listener in self.listeners:
            await trio.aclose_forcefully(listener)


async def open_admin_listeners(address: ListenAddress) -> AdminListeners:
    """Listen where ``--admin`` says.

    Raises:
      CommandError: that is not possible; nothing is left open.
    """
    file = None
    try:
        if isinstance(address, TcpAddress):
            opened = await open_listeners(address.hosts, address.port, option="--admin")
            return AdminListeners(tuple(opened))
        if isinstance(address, UnixAddress):
            listening, file = listen_on_path(address.path)
        else:
            listening = take_socket(address.number, f"cannot listen on {address}: it")
    except (CannotListenError, PassedSocketsError, CommandError) as error:
        # A command listens elsewhere, too.
        raise CommandError(ExitCode.UNAVAILABLE, f"--admin: {error}") from error.__cause__
    return AdminListeners((trio.SocketListener(trio.socket.from_stdlib_socket(listening)),), file)

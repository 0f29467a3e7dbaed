"""What a service manager such as systemd passes to a service, and what the service reports to it.

Sockets that already listen come as descriptors (sd_listen_fds(3)): the manager keeps them, so
clients wait in their queues while the service is started again, and none is refused. The
service reports its state in datagrams (sd_notify(3)).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from .unix_socket import has_unix_sockets

_FIRST_DESCRIPTOR = 3
_PASSED = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class PassedSocketsError(Exception):
    """What was passed cannot be served; the message says which descriptor, and why."""


@dataclass(frozen=True)
class PassedSocket:
    """A socket that listens already.

    Attributes:
      socket: it.
      name: what the manager calls it; empty if it has no name.
    """

    socket: socket.socket
    name: str = ""


def are_passed(environment: Mapping[str, str]) -> bool:
    """Return whether sockets were passed to this process, and not taken yet."""
    return environment.get("LISTEN_PID") == str(os.getpid()) and environment.get("LISTEN_FDS", "0") != "0"


def take_sockets(environment: MutableMapping[str, str]) -> list[PassedSocket]:
    """Return the listening sockets that were passed to this process; none if none was.

    The variables that say so are removed: they are not for the processes that this one starts.

    Raises:
      PassedSocketsError: one does not listen for connections, or is not there.
    """
    process, count, all_names = [environment.pop(name, "") for name in _PASSED]
    if process != str(os.getpid()) or not count.isdecimal():
        return []
    names = all_names.split(":")
    sockets: list[PassedSocket] = []
    try:
        for place in range(int(count)):
            name = names[place] if place < len(names) else ""
            descriptor = _FIRST_DESCRIPTOR + place
            what = f"descriptor {descriptor}{f' ({name})' if name else ''}, which was passed to listen on,"
            # systemd's word for a socket that has no name.
            sockets.append(PassedSocket(take_socket(descriptor, what), "" if name == "unknown" else name))
    except PassedSocketsError:
        for each in sockets:
            each.socket.close()
        raise
    return sockets


def take_socket(descriptor: int, what: str) -> socket.socket:
    """Return the listening socket of a descriptor, which the processes that this one starts do not get.

    Raises:
      PassedSocketsError: it is none; the message begins with ``what``.
    """
    try:
        os.set_inheritable(descriptor, False)
        taken = socket.socket(fileno=descriptor)
    except OSError as error:
        is_there = error.errno != errno.EBADF
        raise PassedSocketsError(f"{what} {'is no socket' if is_there else 'is not open'}") from None
    families = [socket.AF_INET, socket.AF_INET6, *([socket.AF_UNIX] if has_unix_sockets() else [])]
    if (
        taken.family not in families
        or taken.type != socket.SOCK_STREAM
        or not taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    ):
        taken.detach()  # what else it is, it is not ours
        raise PassedSocketsError(
            f"{what} does not listen for TCP connections, nor for those of a Unix socket"
        )
    return taken


@dataclass(frozen=True)
class ServiceManager:
    """Where reports on the state of the service go; nowhere, if nobody wants them.

    Attributes:
      address: of the manager's socket; empty for none.
      watchdog_s: how often the service must say that it is alive, in seconds; None if it need not.
    """

    address: str = ""
    watchdog_s: float | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> ServiceManager:
        """Return the one that the environment names."""
        address = environment.get("NOTIFY_SOCKET", "")
        microseconds = environment.get("WATCHDOG_USEC", "")
        is_meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        has_watchdog = microseconds.isdecimal() and int(microseconds) and is_meant
        return cls(address, int(microseconds) / 1e6 if has_watchdog else None)

    def tell(self, *lines: str) -> None:
        """Send lines such as ``READY=1``; return at once, and ignore a manager that is gone or slow."""
        if not self.address:
            return
        # An @ stands for a name that is no file.
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.setblocking(False)
            sending.sendto("\n".join(lines).encode(), address)

    def tell_ready(self, status: str) -> None:
        """Report that the service serves."""
        self.tell("READY=1", f"STATUS={status}")

    def tell_reloading(self) -> None:
        """Report that a configuration is read again; `tell_ready` ends that."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def tell_stopping(self, status: str) -> None:
        """Report that the service ends in order."""
        self.tell("STOPPING=1", f"STATUS={status}")

    def tell_status(self, status: str) -> None:
        """Report what the service does, for people."""
        self.tell(f"STATUS={status}")

    def ask_for_time(self, seconds: float) -> None:
        """Ask not to be killed within so many seconds."""
        self.tell(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

"""Make the sockets of a load: with the options of its plan, and bound to its addresses of this machine."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import trio

from ..results.sockets_given import SocketsGiven
from ..socket_options import SocketOptions
from .local_addresses import bind_to_source, source_of

_AVAILABLE = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
_ALLOWED = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
# Not on every system.
_CONGESTION: int | None = getattr(socket, "TCP_CONGESTION", None)
_MAX_SEGMENT: int | None = getattr(socket, "TCP_MAXSEG", None)
_TRAFFIC_CLASS: int | None = getattr(socket, "IPV6_TCLASS", None)
_ALGORITHM_BYTES = 16
# A code point is the upper six bits of what packets have in that place.
_DSCP_SHIFT = 2

AnySocket = socket.socket | trio.socket.SocketType
_T = TypeVar("_T")


class SocketOptionError(OSError):
    """The kernel does not give a socket what it is asked for; the message says what, and why."""


class SocketSetup:
    """Makes sockets, each for the connection of a number.

    Args:
      options: what sockets are asked for.
      sources: from where connections are made, in turns; empty if the system chooses.
    """

    def __init__(self, options: SocketOptions, sources: Sequence[str] = ()) -> None:
        self._options = options
        self._sources = sources
        self._has_options = not options.are_default

    @property
    def is_plain(self) -> bool:
        """True if sockets are as the system makes them until they are connected."""
        return not self._sources and not self._has_options

    def make(self, family: int, number: int) -> socket.socket:
        """Return a socket that does not block, to be connected.

        Raises:
          OSError: there is none; a `SocketOptionError` if it cannot have an option.
        """
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.setblocking(False)
            if self._has_options:
                set_options(plain, self._options)
            if (source := source_of(self._sources, number)) is not None:
                bind_to_source(plain, source)
        except BaseException:
            plain.close()
            raise
        return plain

    def note_connected(self, connection: AnySocket) -> None:
        """Do with a socket what is for one that is connected."""
        if is_tcp(connection):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(self._options.nodelay))


def is_tcp(connection: AnySocket) -> bool:
    """Return whether a stream is one of TCP."""
    return connection.family in (socket.AF_INET, socket.AF_INET6)


def set_options(plain: socket.socket, options: SocketOptions) -> None:
    """Set all options that have their effect from the beginning of a connection on.

    Raises:
      SocketOptionError: one cannot be had.
    """
    if options.send_buffer is not None:
        _set(plain, "the send buffer", socket.SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer)
    if options.receive_buffer is not None:
        _set(plain, "the receive buffer", socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer)
    if options.mss is not None:
        _set(plain, "the largest segment", socket.IPPROTO_TCP, _MAX_SEGMENT, options.mss)
    if options.dscp is not None:
        level, option = socket.IPPROTO_IP, getattr(socket, "IP_TOS", None)
        if plain.family == socket.AF_INET6:
            level, option = socket.IPPROTO_IPV6, _TRAFFIC_CLASS
        _set(plain, "the code point (DSCP)", level, option, options.dscp << _DSCP_SHIFT)
    if options.congestion is not None:
        _set_congestion(plain, options.congestion)


def _set(plain: socket.socket, what: str, level: int, option: int | None, value: int) -> None:
    if option is None:
        raise SocketOptionError(f"{what} of a socket cannot be chosen on this system")
    try:
        plain.setsockopt(level, option, value)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SocketOptionError(f"the kernel refuses {value} for {what} of a socket: {reason}") from None


def _set_congestion(plain: socket.socket, name: str) -> None:
    if _CONGESTION is None:
        raise SocketOptionError("congestion control cannot be chosen on this system")
    try:
        plain.setsockopt(socket.IPPROTO_TCP, _CONGESTION, name.encode())
    except FileNotFoundError:
        there_are = f"; it has {', '.join(names)}" if (names := _names_in(_AVAILABLE)) else ""
        raise SocketOptionError(f"this kernel has no congestion control {name}{there_are}") from None
    except PermissionError:
        allowed = f"; allowed are {', '.join(names)}" if (names := _names_in(_ALLOWED)) else ""
        raise SocketOptionError(f"this user may not use the congestion control {name}{allowed}") from None
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SocketOptionError(f"the kernel refuses the congestion control {name}: {reason}") from None


def _names_in(file: Path) -> list[str]:
    try:
        return sorted(file.read_text().split())
    except OSError:  # another system
        return []


def check_options(options: SocketOptions, family: int = socket.AF_INET) -> None:
    """Find out whether sockets of this machine can have these options.

    Raises:
      ValueError: they cannot; the message says why.
    """
    try:
        with socket.socket(family, socket.SOCK_STREAM) as plain:
            set_options(plain, options)
    except SocketOptionError as error:
        raise ValueError(str(error)) from None
    except OSError:  # of the family: connecting says more
        return


def given_to(connection: AnySocket) -> SocketsGiven | None:
    """Return what the kernel gave to a connected socket; None if it is no TCP."""
    if not is_tcp(connection):
        return None
    return SocketsGiven(
        nodelay=bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)),
        send_buffer=connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
        receive_buffer=connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
        congestion=_if_there(lambda: _congestion_of(connection)),
        mss=_if_there(lambda: connection.getsockopt(socket.IPPROTO_TCP, _known(_MAX_SEGMENT))),
        dscp=_if_there(lambda: _dscp_of(connection)),
    )


def _congestion_of(connection: AnySocket) -> str:
    name = connection.getsockopt(socket.IPPROTO_TCP, _known(_CONGESTION), _ALGORITHM_BYTES)
    return name.rstrip(b"\0").decode("ascii", "replace")


def _dscp_of(connection: AnySocket) -> int:
    if connection.family == socket.AF_INET6:
        return connection.getsockopt(socket.IPPROTO_IPV6, _known(_TRAFFIC_CLASS)) >> _DSCP_SHIFT
    return connection.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) >> _DSCP_SHIFT


def _known(option: int | None) -> int:
    if option is None:
        raise OSError
    return option


def _if_there(read: Callable[[], _T]) -> _T | None:
    with contextlib.suppress(OSError):  # this system does not say
        return read()
    return None

"""Opens the connections of a load, some at a time, before its first message."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

import trio

from ..exception_groups import leaves
from ..histogram import Histogram
from ..open_files import OTHER_DESCRIPTORS, allow_open_files
from .errors import CannotConnectError, TooManyConnectionsError
from .plan import LoadPlan
from .result import NS_PER_S

# Attempts at a time, of all processes: fewer than the shortest usual queue of a listening socket
# (128), as one that is not taken into the queue is tried again after a second.
_AT_ONCE = 64


@dataclass
class Opened:
    """Connections, and how they came about.

    Attributes:
      sockets: non-blocking, by the number of the connection.
      connect_ns: how long each took.
      failures: why others could not be opened, by number.
    """

    sockets: dict[int, socket.socket] = field(default_factory=dict)
    connect_ns: Histogram = field(default_factory=Histogram)
    failures: dict[int, str] = field(default_factory=dict)

    def close(self) -> None:
        """Close them all."""
        for connection in self.sockets.values():
            connection.close()


async def open_connections(plan: LoadPlan, first: int, count: int) -> Opened:
    """Connect; of a name with several addresses all go to the one that answers first.

    Raises:
      CannotConnectError: not one could be opened.
      TooManyConnectionsError: this process may not open so many files.
    """
    allow_connections(count)
    opened = Opened()
    try:
        address = await _open_first(plan, first, opened)
        limit = trio.CapacityLimiter(max(1, _AT_ONCE // plan.processes))
        async with trio.open_nursery() as nursery:
            for number in range(first + 1, first + count):
                nursery.start_soon(_open, plan, address, number, opened, limit)
                # Tasks are made as they are needed, not all at once.
                async with limit:
                    pass
    except BaseException:
        opened.close()
        raise
    return opened


def allow_connections(count: int) -> None:
    """Raise the soft limit of open files to what so many connections take.

    Raises:
      TooManyConnectionsError: it cannot be raised so far.
    """
    wanted = count + OTHER_DESCRIPTORS
    limit = allow_open_files(wanted)
    if limit < wanted:
        raise TooManyConnectionsError(count, int(limit))


_Address = tuple[socket.AddressFamily, "tuple[str | int, ...]"]


async def _open_first(plan: LoadPlan, number: int, opened: Opened) -> _Address:
    began = trio.current_time()
    try:
        with trio.fail_after(plan.timeout_s):
            stream = await trio.open_tcp_stream(plan.host, plan.port)
    except trio.TooSlowError:
        raise CannotConnectError(plan.host, plan.port, f"no answer within {plan.timeout_s:g} s") from None
    except (OSError, UnicodeError) as error:
        raise CannotConnectError(plan.host, plan.port, _reason(error)) from error
    address: _Address = (stream.socket.family, stream.socket.getpeername())
    _keep(number, stream.socket, opened, began)
    return address


async def _open(
    plan: LoadPlan, address: _Address, number: int, opened: Opened, limit: trio.CapacityLimiter
) -> None:
    async with limit:
        began = trio.current_time()
        try:
            connection = trio.socket.socket(address[0], socket.SOCK_STREAM)
        except OSError as error:
            opened.failures[number] = _reason(error)
            return
        with connection:
            try:
                with trio.fail_after(plan.timeout_s):
                    await connection.connect(address[1])
            except trio.TooSlowError:
                opened.failures[number] = f"no answer within {plan.timeout_s:g} s"
                return
            except OSError as error:
                opened.failures[number] = _reason(error)
                return
            _keep(number, connection, opened, began)


def _keep(number: int, connection: trio.socket.SocketType, opened: Opened, began: float) -> None:
    opened.connect_ns.record(round((trio.current_time() - began) * NS_PER_S))
    plain = socket.socket(fileno=connection.detach())
    plain.setblocking(False)
    # A message must not wait for the acknowledgement of the one before (RFC 896).
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.sockets[number] = plain


def _reason(error: OSError | UnicodeError) -> str:
    # Trio's own error for all addresses has the cause behind it.
    cause = next(leaves(error.__cause__ or error))
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused: does the server run, and on this port?"
    if isinstance(cause, socket.gaierror | UnicodeError):
        return f"the host is not known ({cause})"
    return getattr(cause, "strerror", None) or str(cause)

"""Open the connections of a load, some at a time, before its first message."""

from __future__ import annotations

import math
import socket
from dataclasses import dataclass, field

import trio

from ...base.connect import connect, open_stream
from ...base.endpoint import send_at_once
from ...base.histogram import Histogram
from ...base.open_files import OTHER_DESCRIPTORS, allow_open_files
from ...base.units import NS_PER_S
from ..errors import CannotConnectError, StrangeServerError, TooManyConnectionsError
from ..plan import LoadPlan
from .dialing import ATTEMPTS_AT_ONCE, Address
from .greeting import Greeting, GreetingError
from .local_addresses import choose_port_late, source_of, why_not_opened
from .proxy_headers import send_proxy_header
from .tls import TlsConnector, TlsSocket, WaitingTlsSocket


@dataclass
class Opened:
    """Connections, and how they came about.

    Attributes:
      sockets: non-blocking, by the number of the connection.
      connect_ns: how long each took.
      failures: why others could not be opened, by number.
      refusals: why the first messages of others failed, by number.
      lateness_ns: how late attempts were made, where the plan has a rate for them.
      address: the server's; None before one was opened.
    """

    sockets: dict[int, socket.socket | TlsSocket] = field(default_factory=dict)
    connect_ns: Histogram = field(default_factory=Histogram)
    failures: dict[int, str] = field(default_factory=dict)
    refusals: dict[int, GreetingError] = field(default_factory=dict)
    lateness_ns: Histogram = field(default_factory=Histogram)
    address: Address | None = None

    def close(self) -> None:
        """Close them all."""
        for connection in self.sockets.values():
            connection.close()


async def open_connections(
    plan: LoadPlan,
    first: int,
    count: int,
    *,
    greeting: Greeting | None = None,
    tls: TlsConnector | None = None,
    stop: trio.CancelScope | None = None,
) -> Opened:
    """Open connections; of a name with several addresses all go to the one that answers first.

    Args:
      plan: of the load.
      first: the first of the connections.
      count: how many.
      greeting: what is said first on each; None if nothing is.
      tls: puts each under TLS; None if they are plain.
      stop: when it is cancelled, those that are open by then are returned.

    Raises:
      CannotConnectError: not one could be opened.
      StrangeServerError: the first messages of the first one failed; it is a `CannotConnectError`.
      TooManyConnectionsError: it is more files than this process may open.
    """
    allow_connections(count)
    opened = Opened()
    starts = _Starts(plan, opened.lateness_ns)
    try:
        with trio.CancelScope() if stop is None else stop:
            await starts.wait_for(first)
            address = opened.address = await _open_first(plan, first, opened, greeting, tls)
            limit = trio.CapacityLimiter(starts.at_once)
            async with trio.open_nursery() as nursery:
                for number in range(first + 1, first + count):
                    await starts.wait_for(number)
                    nursery.start_soon(_open, plan, address, number, opened, limit, greeting, tls)
                    # A task is made when it is needed, not all at once.
                    async with limit:
                        pass
    except BaseException:
        opened.close()
        raise
    return opened


class _Starts:
    """Says when attempts begin: some at a time or, with a rate, each at its time."""

    def __init__(self, plan: LoadPlan, lateness_ns: Histogram) -> None:
        self._rate = plan.churn.connect_rate
        self.at_once: float = max(1, ATTEMPTS_AT_ONCE // plan.processes) if self._rate is None else math.inf
        self._began = trio.current_time()
        self._lateness_ns = lateness_ns

    async def wait_for(self, number: int) -> None:
        """Wait until the attempt for this connection of the load is due."""
        if self._rate is None:
            return
        due = self._began + number / self._rate
        await trio.sleep_until(due)
        self._lateness_ns.record(max(0, round((trio.current_time() - due) * NS_PER_S)))


def allow_connections(count: int) -> None:
    """Raise the soft limit of open files to what ``count`` connections take.

    Raises:
      TooManyConnectionsError: the hard limit is lower.
    """
    wanted = count + OTHER_DESCRIPTORS
    limit = allow_open_files(wanted)
    if limit < wanted:
        raise TooManyConnectionsError(count, int(limit))


async def _open_first(
    plan: LoadPlan, number: int, opened: Opened, greeting: Greeting | None, tls: TlsConnector | None
) -> Address:
    began = trio.current_time()
    sources = plan.churn.sources
    try:
        with trio.fail_after(plan.timeout_s):
            stream = await open_stream(plan.host, plan.port, source=source_of(sources, number))
    except trio.TooSlowError:
        raise CannotConnectError(plan.host, plan.port, f"no reply within {plan.timeout_s:g} s") from None
    except (OSError, UnicodeError) as error:
        raise CannotConnectError(plan.host, plan.port, why_not_opened(error, is_first=True)) from error
    connect_ns = _since(began)
    with stream.socket:
        try:
            address: Address = (stream.socket.family, stream.socket.getpeername())
            opened.sockets[number] = await _prepare(plan, number, stream.socket, greeting, tls)
            opened.connect_ns.record(connect_ns)
        except GreetingError as error:
            raise StrangeServerError(plan.host, plan.port, error.reason) from None
        except OSError as error:
            raise CannotConnectError(plan.host, plan.port, why_not_opened(error)) from error
    return address


async def _open(
    plan: LoadPlan,
    address: Address,
    number: int,
    opened: Opened,
    limit: trio.CapacityLimiter,
    greeting: Greeting | None,
    tls: TlsConnector | None,
) -> None:
    async with limit:
        began = trio.current_time()
        try:
            connection = trio.socket.socket(address[0], socket.SOCK_STREAM)
        except OSError as error:
            opened.failures[number] = why_not_opened(error)
            return
        with connection:
            try:
                with trio.fail_after(plan.timeout_s):
                    if (source := source_of(plan.churn.sources, number)) is not None:
                        choose_port_late(connection)
                        await connection.bind((source, 0))
                    await connect(connection, address[1])
            except trio.TooSlowError:
                opened.failures[number] = f"no reply within {plan.timeout_s:g} s"
                return
            except OSError as error:
                opened.failures[number] = why_not_opened(error)
                return
            connect_ns = _since(began)
            try:
                opened.sockets[number] = await _prepare(plan, number, connection, greeting, tls)
                opened.connect_ns.record(connect_ns)
            except GreetingError as error:
                opened.refusals[number] = error
            except OSError as error:
                opened.failures[number] = why_not_opened(error)


def _since(began: float) -> int:
    return round((trio.current_time() - began) * NS_PER_S)


async def _prepare(
    plan: LoadPlan,
    number: int,
    connection: trio.socket.SocketType,
    greeting: Greeting | None,
    tls: TlsConnector | None,
) -> socket.socket | TlsSocket:
    """Begin a connection in all ways that the plan has; return the socket for the engine.

    Raises:
      OSError: the connection cannot be used.
      GreetingError: the first messages failed.
    """
    send_at_once(connection)
    if plan.service.proxy_headers is not None:
        await send_proxy_header(connection, plan.service.proxy_headers)
    if tls is None:
        if greeting is not None:
            await greeting.exchange(connection, number)
        return _detached(connection)
    plain = _detached(connection)
    try:
        secured = tls.wrap(plain)
        waiting = WaitingTlsSocket(secured, plain)
        with trio.move_on_after(plan.timeout_s) as scope:
            await waiting.shake_hands()
        if scope.cancelled_caught:
            raise TimeoutError(f"the TLS handshake did not come to its end within {plan.timeout_s:g} s")
        if greeting is not None:
            await greeting.exchange(waiting, number)
    except BaseException:
        plain.close()
        raise
    return secured


def _detached(connection: trio.socket.SocketType) -> socket.socket:
    plain = socket.socket(fileno=connection.detach())
    plain.setblocking(False)
    return plain

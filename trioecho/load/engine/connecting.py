"""Open the connections of a load, some at a time, before its first message."""

from __future__ import annotations

import math
import socket
from dataclasses import dataclass, field

import trio

from ...base.connect import connect, find_addresses, open_stream
from ...base.histogram import Histogram
from ...base.open_files import OTHER_DESCRIPTORS, allow_open_files
from ...base.units import NS_PER_S
from ..errors import CannotConnectError, StrangeServerError, TooManyConnectionsError
from ..plan import LoadPlan
from ..results.sockets_given import SocketsGiven
from .dialing import ATTEMPTS_AT_ONCE, Address
from .greeting import Greeting, GreetingError
from .local_addresses import family_of, why_not_opened
from .proxy_headers import send_proxy_header
from .socket_setup import SocketSetup, given_to
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
      given: what the kernel gave to the first socket; None where it is no TCP.
    """

    sockets: dict[int, socket.socket | TlsSocket] = field(default_factory=dict)
    connect_ns: Histogram = field(default_factory=Histogram)
    failures: dict[int, str] = field(default_factory=dict)
    refusals: dict[int, GreetingError] = field(default_factory=dict)
    lateness_ns: Histogram = field(default_factory=Histogram)
    address: Address | None = None
    given: SocketsGiven | None = None

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
            setup = SocketSetup(plan.sockets, plan.churn.sources)
            address = opened.address = await _open_first(plan, setup, first, opened, greeting, tls)
            limit = trio.CapacityLimiter(starts.at_once)
            async with trio.open_nursery() as nursery:
                for number in range(first + 1, first + count):
                    await starts.wait_for(number)
                    nursery.start_soon(_open, plan, setup, address, number, opened, limit, greeting, tls)
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
    plan: LoadPlan,
    setup: SocketSetup,
    number: int,
    opened: Opened,
    greeting: Greeting | None,
    tls: TlsConnector | None,
) -> Address:
    began = trio.current_time()
    try:
        with trio.fail_after(plan.timeout_s):
            connection = await _connect_to_any(plan, setup, number)
    except trio.TooSlowError:
        raise CannotConnectError(plan.host, plan.port, f"no reply within {plan.timeout_s:g} s") from None
    except (OSError, UnicodeError) as error:
        raise CannotConnectError(plan.host, plan.port, why_not_opened(error, is_first=True)) from error
    connect_ns = _since(began)
    with connection:
        try:
            address: Address = (connection.family, connection.getpeername())
            setup.note_connected(connection)
            opened.given = given_to(connection)
            opened.sockets[number] = await _prepare(plan, number, connection, greeting, tls)
            opened.connect_ns.record(connect_ns)
        except GreetingError as error:
            raise StrangeServerError(plan.host, plan.port, error.reason) from None
        except OSError as error:
            raise CannotConnectError(plan.host, plan.port, why_not_opened(error)) from error
    return address


async def _connect_to_any(plan: LoadPlan, setup: SocketSetup, number: int) -> trio.socket.SocketType:
    """Return a socket that is connected to an address of the server.

    Where nothing has to be done before, it is the address that answers first; else each is tried
    after the one before it has failed.
    """
    if setup.is_plain:
        stream = await open_stream(plan.host, plan.port)
        return stream.socket
    families = {family_of(source) for source in plan.churn.sources}
    addresses = await find_addresses(plan.host, plan.port)
    fitting = [each for each in addresses if not families or each[0] in families]
    failure: OSError | None = None
    for family, _, _, where in fitting:
        connection = trio.socket.from_stdlib_socket(setup.make(family, number))
        try:
            await connect(connection, where)
        except OSError as error:
            connection.close()
            failure = failure or error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failure or OSError("the server has no address that fits the one of --bind")


async def _open(
    plan: LoadPlan,
    setup: SocketSetup,
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
            connection = trio.socket.from_stdlib_socket(setup.make(address[0], number))
        except OSError as error:
            opened.failures[number] = why_not_opened(error)
            return
        with connection:
            try:
                with trio.fail_after(plan.timeout_s):
                    await connect(connection, address[1])
            except trio.TooSlowError:
                opened.failures[number] = f"no reply within {plan.timeout_s:g} s"
                return
            except OSError as error:
                opened.failures[number] = why_not_opened(error)
                return
            connect_ns = _since(began)
            try:
                setup.note_connected(connection)
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

"""How connections get from a listener into the server."""

from __future__ import annotations

import abc
import contextlib
import errno
import selectors
import socket
from collections.abc import Callable

import trio

from ..base.accept_queue import LONGEST_QUEUE, queue_length
from ..base.addresses import format_address
from ..base.rate_limited_log import RateLimitedLog
from ..connection.reactor import Reactor
from ..connection.transport import SocketTransport, Transport, open_transport
from ..limits import or_infinite
from .unix_peers import open_unix_peers

# accept(2) failed because the machine is short of something. The same four, and
# the same pause, as in trio.serve_listeners.
OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
_BACK_OFF_S = 0.1
# Being short of something lasts; the log says so once in so long, the reports count every time.
_SAME_SHORTAGE_S = 10.0

# TCP keepalive finds a peer that is gone without a word after 60 s + 4 x 15 s of silence;
# Linux by itself after two hours and eleven minutes.
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPALIVE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))

# How many connections are accepted before others have their turn; asyncio accepts 100.
_ACCEPTED_AT_ONCE = 64

# accept(2) failed because that one connection did: "Linux accept() passes
# already-pending network errors on the new socket as an error code" (accept(2)).
_CONNECTION_FAILED = {
    getattr(errno, name)
    for name in (
        "EPERM",
        "ECONNABORTED",
        "EPROTO",
        "ENETDOWN",
        "ENOPROTOOPT",
        "EHOSTDOWN",
        "ENONET",
        "EHOSTUNREACH",
        "EOPNOTSUPP",
        "ENETUNREACH",
    )
    if hasattr(errno, name)
}


class Acceptor(trio.abc.AsyncResource):
    """Takes connections from one listener; owns it.

    Waiting and taking are apart, so that a server can look in between whether
    it has room, and can empty the queue when it stops: closing a listening
    socket resets the connections that are still queued in it.
    """

    @abc.abstractmethod
    async def wait(self) -> None:
        """Wait until a connection is queued.

        Raises:
          OSError: as accept(2).
        """

    @abc.abstractmethod
    async def take(self) -> tuple[Transport, str] | None:
        """Return a queued connection and what to call its peer; None if there is none.

        Raises:
          OSError: as accept(2).
        """

    @abc.abstractmethod
    def count_queued(self) -> int:
        """Return how many connections are queued; where that is not known, how many at most."""

    @abc.abstractmethod
    def count_unserved(self) -> int:
        """Return how many connections are queued; where that is not known, 1 if there is any."""


class SocketAcceptor(Acceptor):
    """For plain sockets. Trio's listener can only wait, hence a duplicate of its socket."""

    def __init__(
        self, listener: trio.SocketListener, shared_buffer: memoryview, reactor: Reactor | None = None
    ) -> None:
        self._listener = listener
        self._shared_buffer = shared_buffer
        self._reactor = reactor
        trio_socket = listener.socket
        self._socket = socket.fromfd(trio_socket.fileno(), trio_socket.family, trio_socket.type)
        self._socket.setblocking(False)
        self._peers = open_unix_peers(self._socket)
        if reactor is not None:
            reactor.add_listener(self._socket)

    async def wait(self) -> None:
        await trio.lowlevel.wait_readable(self._socket)

    async def take(self) -> tuple[Transport, str] | None:
        while True:
            try:
                connection, address = self._socket.accept()
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno not in _CONNECTION_FAILED:
                    raise
            else:
                peer = format_address(address) if self._peers is None else self._peers.name(connection)
                return SocketTransport(connection, self._shared_buffer), peer

    def count_queued(self) -> int:
        return queue_length(self._socket, else_at_most=LONGEST_QUEUE)

    def count_unserved(self) -> int:
        return queue_length(self._socket, else_at_most=int(_is_readable(self._socket)))

    async def aclose(self) -> None:
        if self._socket.fileno() >= 0:
            if self._reactor is not None:
                self._reactor.remove_listener(self._socket)
            self._socket.close()
        await self._listener.aclose()


class ListenerAcceptor(Acceptor):
    """For any other Trio listener, such as `trio.SSLListener`."""

    def __init__(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        self._listener = listener
        self._accepted: trio.abc.Stream | None = None

    async def wait(self) -> None:
        if self._accepted is None:
            self._accepted = await self._listener.accept()
        else:
            await trio.lowlevel.checkpoint()

    async def take(self) -> tuple[Transport, str] | None:
        stream, self._accepted = self._accepted, None
        if stream is None:
            below = self._socket_below()
            if below is None or not _is_readable(below):
                return None
            stream = await self._listener.accept()
        return open_transport(stream), _peer_name(stream)

    def count_queued(self) -> int:
        return self._count(lambda below: LONGEST_QUEUE)

    def count_unserved(self) -> int:
        return self._count(lambda below: int(_is_readable(below)))

    def _count(self, else_at_most: Callable[[trio.socket.SocketType], int]) -> int:
        below = self._socket_below()
        in_queue = 0 if below is None else queue_length(below, else_at_most=else_at_most(below))
        return (self._accepted is not None) + in_queue

    def _socket_below(self) -> trio.socket.SocketType | None:
        below = getattr(self._listener, "transport_listener", None)
        return below.socket if isinstance(below, trio.SocketListener) else None

    async def aclose(self) -> None:
        try:
            if self._accepted is not None:
                await trio.aclose_forcefully(self._accepted)
        finally:
            await self._listener.aclose()


def open_acceptor(
    listener: trio.abc.Listener[trio.abc.Stream], shared_buffer: memoryview, reactor: Reactor | None = None
) -> Acceptor:
    """Return the acceptor for a listener, which belongs to the acceptor from now on.

    The connections of plain sockets receive into ``shared_buffer``; the reactor that
    serves them gives way when there is another to accept.
    """
    if isinstance(listener, trio.SocketListener):
        return SocketAcceptor(listener, shared_buffer, reactor)
    return ListenerAcceptor(listener)


def keep_alive(listener: trio.abc.Listener[trio.abc.Stream]) -> None:
    """Have the kernel probe silent peers of a listener's connections, so that dead ones are found.

    Connections inherit it from the socket that listens, so it costs none of them anything.
    Other listeners than those of sockets, TLS or plain, are left as they are.
    """
    below = getattr(listener, "transport_listener", listener)
    if not isinstance(below, trio.SocketListener):
        return
    with contextlib.suppress(OSError):  # not TCP, but a Unix socket
        below.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:  # TCP_KEEPALIVE is what macOS calls the first
            if hasattr(socket, name):
                below.socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Admission:
    """Lets connections in while there is room, from any number of acceptors, and outlives a shortage.

    Args:
      start: takes over an accepted connection and what to call its peer; from then on it counts.
      connections: how many there are now.
      max_connections: how many there may be; 0 for any number.
      log: where a shortage is logged, once in ten seconds.
      on_failure: called whenever accepting failed.
    """

    def __init__(
        self,
        start: Callable[[Transport, str], object],
        *,
        connections: Callable[[], int],
        max_connections: int,
        log: RateLimitedLog,
        on_failure: Callable[[], object],
    ) -> None:
        self._start = start
        self._connections = connections
        self._most = or_infinite(max_connections)
        self._log = log
        self._on_failure = on_failure
        self._place_is_free = trio.lowlevel.ParkingLot()
        # When the log may name a shortage again, by errno.
        self._names_again_at: dict[int, float] = {}

    def note_free_place(self) -> None:
        """Let another connection in: one has ended."""
        self._place_is_free.unpark_all()

    def change_max_connections(self, max_connections: int) -> None:
        """Let so many be there from now on; those that are in stay. 0 for any number."""
        self._most = or_infinite(max_connections)
        self.note_free_place()

    async def accept_from(self, acceptor: Acceptor) -> None:
        """Accept until cancelled; when there is no room, the kernel's backlog waits.

        Raises:
          OSError: accepting failed for a reason that waiting does not change.
        """
        while True:
            if self._connections() >= self._most:
                await self._place_is_free.park()
                continue
            try:
                await acceptor.wait()
                for _ in range(_ACCEPTED_AT_ONCE):
                    # Another listener may have taken the last place meanwhile.
                    if self._connections() >= self._most or not (accepted := await acceptor.take()):
                        break
                    self._start(*accepted)
            except OSError as error:
                await self._back_off(error)

    async def accept_queued(self, acceptor: Acceptor, most: int) -> None:
        """Accept what the kernel has queued already, but at most that many connections, room or not.

        Raises:
          OSError: as `accept_from`.
        """
        while most > 0:
            try:
                accepted = await acceptor.take()
            except OSError as error:
                await self._back_off(error)
            else:
                if accepted is None:
                    return
                self._start(*accepted)
                most -= 1
                await trio.lowlevel.checkpoint()  # others must have their turn

    async def _back_off(self, error: OSError) -> None:
        number = error.errno
        if number not in OUT_OF_RESOURCES:
            raise error
        self._on_failure()
        now = trio.current_time()
        if now >= self._names_again_at.get(number, 0.0):
            self._names_again_at[number] = now + _SAME_SHORTAGE_S
            self._log.warning(
                f"cannot accept: {error.strerror}; trying again every {_BACK_OFF_S * 1000:g} ms "
                f"({self._connections()} open connections; "
                "raise the limit of open files, or lower max_connections)"
            )
        await trio.sleep(_BACK_OFF_S)


def _peer_name(stream: trio.abc.Stream) -> str:
    below = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    if isinstance(below, trio.SocketStream):
        try:
            return format_address(below.socket.getpeername())
        except OSError:
            return "a peer that is gone already"
    return f"a {type(stream).__name__}"


def _is_readable(listening: socket.socket | trio.socket.SocketType) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        return bool(selector.select(timeout=0))

"""A connection's place in the reactor, where its task sleeps meanwhile."""

from __future__ import annotations

import select
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

import trio

from .exchange import Exchange
from .interest import Interest
from .sending import PipedBytes, Wire
from .splicing import PipePool, Splice
from .tls_in_turn import TlsInTurn
from .tls_transport import TlsTransport
from .transport import SocketTransport

# The epoll event for each interest.
EPOLL_EVENTS: dict[Interest, int] = (
    {Interest.READABLE: select.EPOLLIN, Interest.WRITABLE: select.EPOLLOUT}
    if hasattr(select, "epoll")
    else {}
)


class _Awake:
    """What Trio resumes a task with that slept here: the outcome "None was returned".

    Trio makes a new one for every wake-up and uses it up; this one is used again.
    ``scripts/bench --only many-handler`` measures what that saves.
    """

    def unwrap(self) -> None:
        return None


_AWAKE = cast("Any", _Awake())


class Registry(Protocol):
    """Where registrations are: the reactor.

    Attributes:
      epoll: watches their sockets.
      pipes: for the rest of large frames.
      cut: those of whose last record of TLS a part has come in this turn, or the rest.
    """

    epoll: select.epoll
    pipes: PipePool
    cut: list[Registration]

    def leave(self, registration: Registration, /) -> None:
        """Watch the registration's socket no longer."""
        raise NotImplementedError


class Registration:
    """A connection in the reactor, and the task that sleeps there.

    Attributes:
      descriptor: the socket's.
      exchange: the connection's.
      echoes_with_others: whether that is like most others of the reactor (`EchoesAtRest`).
      watched: for what the epoll watches the socket; None for nothing.
      is_parked: whether the task sleeps.
      is_woken: whether `wake` was called while it did not: its next sleep ends at once.
      failure: what was raised while the task slept, for the task to raise.
      receive, send: the socket's.
      task: the one that sleeps.
    """

    __slots__ = (
        "_registry",
        "_splice",
        "_transport",
        "_under_tls",
        "descriptor",
        "echoes_with_others",
        "exchange",
        "failure",
        "is_parked",
        "is_woken",
        "receive",
        "send",
        "task",
        "watched",
    )

    def __init__(
        self, registry: Registry, transport: SocketTransport | TlsTransport, exchange: Exchange
    ) -> None:
        connection: socket.socket
        self._under_tls: TlsInTurn | None = None
        if isinstance(transport, TlsTransport):
            connection = cast("SocketTransport", transport.below).socket
            self._under_tls = TlsInTurn(transport, connection, self)
            self.receive: Callable[[int], bytes] = self._under_tls.receive
            self.send: Callable[[Wire], int] = cast("Callable[[Wire], int]", self._under_tls.send)
        else:
            connection = transport.socket
            self.receive = connection.recv
            self.send = cast("Callable[[Wire], int]", connection.send)
        self._registry = registry
        self._transport = transport
        self._splice: Splice | None = None
        self.task: trio.lowlevel.Task = trio.lowlevel.current_task()
        self.descriptor: int = connection.fileno()
        self.exchange: Exchange = exchange
        self.echoes_with_others: bool = False
        self.watched: Interest | None = None
        self.is_parked: bool = False
        self.is_woken: bool = False
        self.failure: BaseException | None = None

    def receive_large(self) -> Wire | None:
        """Receive what is not likely to be small: into a pipe, or into a buffer that is used again."""
        exchange = self.exchange
        if self._under_tls is not None:
            return self._under_tls.receive_large(exchange.decoder.get_buffer())
        if exchange.expects_header:
            header = self.receive(exchange.format.header_bytes)
            return self._receive_piped(header) or header
        return self._receive_piped() or self._transport.receive_nowait(exchange.decoder.get_buffer())

    def _receive_piped(self, beginning: bytes = b"") -> PipedBytes | None:
        most = self.exchange.rest_bytes(beginning)
        if not most or not self._registry.pipes.is_usable:
            return None
        if self._splice is None:
            self._splice = Splice(
                cast("SocketTransport", self._transport).socket, self.exchange, self._registry.pipes
            )
            self.send = self._splice.send
        return self._splice.receive(most, beginning)

    def note_cut(self) -> None:
        """Have `note_record` called when the turn has handed over what was received."""
        if self.exchange.is_inside_record or self._transport.is_inside_record:
            self._registry.cut.append(self)

    def note_record(self, now: float) -> None:
        """Report to the exchange whether a record of TLS has come in part."""
        self.exchange.note_record(self._transport.is_inside_record, now)

    def translate_error(self, error: BaseException) -> BaseException:
        """Return what to raise for what ``receive`` or ``send`` has raised."""
        return self._transport.translate_error(error) if isinstance(error, OSError) else error

    def watch(self, interest: Interest | None) -> None:
        """Have the epoll watch the socket for that; for None not at all."""
        if interest is self.watched:
            return
        if interest is None:
            self._registry.epoll.unregister(self.descriptor)
        elif self.watched is None:
            self._registry.epoll.register(self.descriptor, EPOLL_EVENTS[interest])
        else:
            self._registry.epoll.modify(self.descriptor, EPOLL_EVENTS[interest])
        self.watched = interest

    def parked(self) -> Awaitable[object]:
        """Sleep until there is something to do, or until `wake`; to be awaited at once. A checkpoint."""
        # Not an async function, whose frame an idle connection would hold.
        if self.is_woken:
            self.is_woken = False
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105 - the caller awaits it
        self.is_parked = True
        return trio.lowlevel.wait_task_rescheduled(self._unpark)  # noqa: ASYNC105 - the caller awaits it

    def _unpark(self, _: object) -> trio.lowlevel.Abort:
        self.is_parked = False
        return trio.lowlevel.Abort.SUCCEEDED

    def wake(self) -> None:
        """End the task's sleep; if it does not sleep, end its next one as soon as it begins."""
        if self.is_parked:
            self.is_parked = False
            trio.lowlevel.reschedule(self.task, _AWAKE)
        else:
            self.is_woken = True

    def leave(self) -> None:
        """Let the reactor watch the socket no longer; to be called before that is closed."""
        self._registry.leave(self)
        if self._splice is not None:
            self._splice.take_back()

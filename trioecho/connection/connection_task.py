"""The task of a connection: who moves the bytes while it receives.

The reactor does, for sockets of a server, plain and under TLS, while the task sleeps. Else the task does
it by itself (`trioecho.connection.task_driver`).
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import TypeVar

import trio

from ..base.kept_failure import raise_kept_failure
from ..errors import ConnectionEndedError
from ..framing import BlockPool, FrameFormat
from ..limits import Limits
from .calls import Calls, OnSlowCall
from .exchange import Exchange
from .interest import RECEIVING, Interest, Use
from .reactor import Reactor
from .registration import EPOLL_EVENTS, Registration
from .replies import Replies, send_reply_nowait
from .sending import SEND_ERRORS, OnSent
from .task_driver import TaskDriver
from .tls_transport import TlsTransport
from .transport import SocketTransport, Transport
from .trio_errors import DRAIN_HAS_ENDED, EndOfMessagesError
from .turn_limits import TURN_MESSAGES

_MESSAGES = Interest.MESSAGES
# What may be raised of a connection.
_ENDS: tuple[type[Exception], ...] = (ConnectionEndedError, *SEND_ERRORS)
_Taken = TypeVar("_Taken")


class ConnectionTask:
    """What a channel does in the task that receives, and how other tasks end its wait.

    A base class of the channel, and not an object of its own, which every idle connection
    would hold.

    Args:
      transport: the connection's.
      format: how headers are written.
      limits: sizes and clocks.
      reactor: moves the bytes of sockets, where there is one.
      pool: memory for large frames.
      on_sent: as in `Exchange`.
      on_slow_call: as in `Calls`.
    """

    __slots__ = (
        "_driver",
        "_exchange",
        "_is_receiving",
        "_now",
        "_on_slow_call",
        "_raised",
        "_reactor",
        "_registration",
        "_transport",
    )

    def __init__(
        self,
        transport: Transport,
        format: FrameFormat,
        limits: Limits,
        *,
        reactor: Reactor | None = None,
        pool: BlockPool | None = None,
        on_sent: OnSent | None = None,
        on_slow_call: OnSlowCall | None = None,
    ) -> None:
        self._transport = transport
        # The same as trio.current_time(), which looks for the clock at every call.
        self._now = trio.lowlevel.current_clock().current_time
        self._exchange = Exchange(
            format=format,
            limits=limits,
            receive_capacity=transport.receive_capacity,
            now=self._now(),
            pool=pool,
            on_sent=on_sent,
        )
        self._driver = TaskDriver(self._exchange, transport)
        self._reactor = reactor
        self._on_slow_call = on_slow_call
        self._registration: Registration | None = None
        self._is_receiving = False
        # Weak, or their tracebacks would keep all of this alive, in a circle.
        self._raised: weakref.WeakSet[ConnectionEndedError] | None = None

    # ---- what the task does ----

    def _begin_receiving(self) -> None:
        if self._exchange.is_closed:
            raise trio.ClosedResourceError("this channel was already closed")
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving from this channel")
        self._is_receiving = True

    async def _receive_until(self, take: Callable[[], _Taken | None]) -> _Taken:
        """Receive until there is something to take from the decoder."""
        exchange = self._exchange
        try:
            while True:
                exchange.start(Use.TAKE, self._now())
                while exchange.interest in RECEIVING:
                    if exchange.interest is Interest.READABLE and (at_reactor := self._at_reactor()):
                        await self._sleep_at_reactor(*at_reactor)
                    else:
                        await self._step()
                if (taken := take()) is not None:
                    return taken
                if exchange.interest is Interest.ENDED:
                    raise EndOfMessagesError(*(() if exchange.has_received_eof else (DRAIN_HAS_ENDED,)))
        finally:
            exchange.stop(self._now())

    async def _run(self, use: Use, replies: Replies | None = None, calls: Calls | None = None) -> None:
        """Receive and send, until the peer has ended or a drain has; in the reactor as long as possible.

        Args:
          use: what for.
          replies: makes them in this task, where that is what for.
          calls: makes them where bytes are moved.
        """
        self._begin_receiving()
        exchange = self._exchange
        try:
            exchange.start(use, self._now(), calls)
            while exchange.interest is not Interest.ENDED:
                if replies is not None and exchange.interest is _MESSAGES:
                    await replies.make_all(exchange.take_messages())
                elif exchange.interest is Interest.NOTHING:
                    if exchange.resume(self._now()) is not None:
                        await self._driver.send_unsent()
                elif exchange.interest in EPOLL_EVENTS and (at_reactor := self._at_reactor()):
                    await self._run_at_reactor(*at_reactor, replies)
                else:
                    await self._step()
        except _ENDS as error:
            if calls is None or calls.failure is None:  # else that came first, and is raised
                if isinstance(error, ConnectionEndedError) and (replies is None or not replies.has_failed):
                    self._note_raised(error)
                raise
        finally:
            self._is_receiving = False
            self._break_off()
        if calls is not None:
            raise_kept_failure(calls)

    async def _run_at_reactor(
        self, reactor: Reactor, transport: SocketTransport | TlsTransport, replies: Replies | None
    ) -> None:
        """Let the reactor move the bytes, until there is something that only the task can do."""
        exchange = self._exchange
        registration = self._register(reactor, transport)
        reactor.rearm(registration)
        try:
            while True:
                await registration.parked()
                if replies is not None and exchange.interest is _MESSAGES:
                    messages = exchange.take_messages()
                    if len(messages) == 1:  # nothing has to be sent when it is suspended
                        try:
                            payload = await replies.reply(messages[0])
                        except BaseException:
                            replies.has_failed = True
                            raise
                        replies.put(payload)
                        payload = b""  # or a connection that is idle would keep it, and the messages
                    elif len(messages) <= TURN_MESSAGES:
                        await replies.make_all(messages)
                    else:  # others have their turn meanwhile
                        reactor.busy_tasks += 1
                        try:
                            await replies.make_all(messages)
                        finally:
                            reactor.busy_tasks -= 1
                    messages = ()
                    reactor.resume(registration)
                    continue
                self._check_registration(registration)
                if reactor.has_ended or self._is_overdue():
                    break
                if isinstance(transport, TlsTransport) and transport.plain_socket is None:
                    break  # the end of the stream is here already, and no epoll reports it
                if exchange.interest is not Interest.NOTHING and exchange.interest not in EPOLL_EVENTS:
                    break  # it is NOTHING as long as the reactor has not gone on with it
        finally:
            self._leave_reactor()

    async def _sleep_at_reactor(self, reactor: Reactor, transport: SocketTransport | TlsTransport) -> None:
        """Let the reactor receive once, or until woken."""
        registration = self._register(reactor, transport)
        reactor.rearm(registration)
        await registration.parked()
        self._check_registration(registration)
        if self._is_overdue():
            self._exchange.deadline_passed()

    def _break_off(self) -> None:
        """Lose neither messages nor a reply after a run, however it ended.

        Messages that no task has taken go back to the decoder. Of a reply is sent
        what the kernel accepts at once; if that is not all, the connection is torn.
        """
        self._exchange.stop(self._now())
        # What hinders the send is raised to the next sender.
        with contextlib.suppress(*SEND_ERRORS):
            send_reply_nowait(self._exchange, self._transport)
        self._exchange.give_up(self._now())

    # ---- who moves the bytes ----

    async def _step(self) -> None:
        """Move bytes in this task once, or until woken."""
        await self._driver.step()
        self._check_open()

    def _at_reactor(self) -> tuple[Reactor, SocketTransport | TlsTransport] | None:
        """Return the reactor, and the socket; None where this task is to move the bytes, as in a drain."""
        reactor, transport = self._reactor, self._transport
        if reactor is None or reactor.has_ended:
            return None
        if not isinstance(transport, SocketTransport) and (
            not isinstance(transport, TlsTransport) or transport.plain_socket is None
        ):
            return None
        # Another task may have closed it meanwhile; the transport reports that.
        if self._exchange.is_closed or self._exchange.is_draining or self._is_overdue():
            return None
        return reactor, transport

    def _register(self, reactor: Reactor, transport: SocketTransport | TlsTransport) -> Registration:
        if self._registration is None:
            self._registration = reactor.register(transport, self._exchange)
        self._registration.task = trio.lowlevel.current_task()
        return self._registration

    def _leave_reactor(self) -> None:
        if self._registration is not None:
            self._registration.leave()
            self._registration = None

    def _check_registration(self, registration: Registration) -> None:
        """Raise what was raised in the reactor, or that the channel was closed."""
        self._check_open()
        if registration.failure is not None:
            self._registration = None
            raise_kept_failure(registration)

    def _check_open(self) -> None:
        if self._exchange.is_closed:
            raise trio.ClosedResourceError("this channel was closed")

    def _is_overdue(self) -> bool:
        return self._now() >= self._exchange.deadline

    # ---- other tasks ----

    def _wake(self) -> None:
        """End a wait for something to receive."""
        self._driver.wake()
        if self._registration is not None:
            self._registration.wake()

    # ---- whose error it is ----

    def _note_raised(self, error: ConnectionEndedError) -> None:
        if self._raised is None:
            self._raised = weakref.WeakSet()
        self._raised.add(error)

    def _has_raised(self, error: BaseException) -> bool:
        """Return whether this channel has raised this very exception, and no other channel."""
        return self._raised is not None and error in self._raised

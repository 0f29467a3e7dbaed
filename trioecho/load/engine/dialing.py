"""Open further connections while a load runs: each attempt is one more socket that the engine waits for."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import trio

from ...base.endpoint import SelfConnectionError, UnixRefusedError, is_connected_to_itself
from ..service_traits import ProxyHeaders
from ..socket_options import SocketOptions
from .greeting import AsyncSocket, Greeting, GreetingError
from .poller import Poller
from .proxy_headers import send_proxy_header_nowait
from .sending import Socket
from .socket_setup import SocketSetup
from .tls import TlsConnector, TlsSocket, WaitingTlsSocket

Address = tuple[socket.AddressFamily, "tuple[str | int, ...] | str"]
"""Of a server: the family, and what `socket.connect` takes."""

# Attempts at a time, of all processes: fewer than the shortest usual queue of a listening socket
# (128), as one that is not taken into the queue is tried again after a second.
ATTEMPTS_AT_ONCE = 64


class Dialer(Protocol):
    """What opens connections; an attempt has the number by which the waiter calls its socket.

    Attributes:
      finished: attempts that have come to their end without the waiter; who takes them takes them out.
    """

    finished: list[int]

    def dial(self, number: int) -> int:
        """Begin to connect, and return the number of the attempt.

        Args:
          number: of the connection, from 0.

        Raises:
          OSError: it has failed at once.
        """

    def take(self, attempt: int) -> Taken | None:
        """Return the socket if it can be used; None while that is not known.

        Raises:
          OSError: the attempt has failed, and is over.
          GreetingError: the same, when it was connected.
        """

    def is_connected(self, attempt: int) -> bool:
        """Return whether an attempt was connected, so that first messages are exchanged."""

    def has_begun(self, attempt: int) -> bool:
        """Return whether the server may have got something, of a handshake or of first messages."""

    def give_up(self, attempt: int) -> None:
        """End an attempt."""


class Taken(NamedTuple):
    """A connection that is open.

    Attributes:
      socket: non-blocking; the waiter waits for it by the number of the attempt.
      connected_at: when it was connected, in ns of the clock; a greeting may have followed.
    """

    socket: Socket
    connected_at: int


class SocketDialer:
    """Connects to one address of a server, without waiting; the poller waits for all attempts.

    Where there are first messages, a task exchanges them before a connection can be used.

    Attributes:
      finished: as of `Dialer`.

    Args:
      poller: waits for attempts.
      address: the server's.
      nursery: of the tasks.
      greeting: what is said first on each; None if nothing is.
      tls: puts each under TLS; None if they are plain.
      proxy_headers: the version of the header with which each begins; None if there is none.
      setup: makes their sockets.
      clock: ns.
    """

    def __init__(
        self,
        poller: Poller,
        address: Address,
        *,
        nursery: trio.Nursery,
        greeting: Greeting | None = None,
        tls: TlsConnector | None = None,
        proxy_headers: ProxyHeaders | None = None,
        setup: SocketSetup | None = None,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.finished: list[int] = []
        self._poller = poller
        self._family, self._address = address
        self._nursery = nursery
        self._greeting = greeting
        self._tls = tls
        self._proxy_headers = proxy_headers
        self._setup = SocketSetup(SocketOptions()) if setup is None else setup
        self._turn = 0  # of the addresses from which connections are made
        self._clock = clock
        self._attempts: dict[int, socket.socket] = {}
        self._numbers: dict[int, int] = {}
        # What is known of those that are connected: when they were, and how their greeting ended.
        self._connected_at: dict[int, int] = {}
        self._greeted: dict[int, GreetingError | OSError | None] = {}
        self._tasks: dict[int, trio.CancelScope] = {}
        self._secured: dict[int, TlsSocket] = {}

    def dial(self, number: int) -> int:
        """See `Dialer.dial`."""
        plain = self._setup.make(self._family, self._turn)
        self._turn += 1
        try:
            error = plain.connect_ex(self._address)
            # A Unix socket whose queue is full says EWOULDBLOCK, and nothing is on its way then.
            if error == errno.ECONNREFUSED and isinstance(self._address, (str, bytes)):
                raise UnixRefusedError(self._address)
            if error not in (0, errno.EINPROGRESS):
                raise OSError(error, os.strerror(error))
            attempt = self._poller.register(plain)
        except BaseException:
            plain.close()
            raise
        self._poller.also_writable(attempt, True)
        self._attempts[attempt] = plain
        self._numbers[attempt] = number
        return attempt

    def take(self, attempt: int) -> Taken | None:
        """See `Dialer.take`."""
        try:
            is_ready = self._is_ready(attempt, self._attempts[attempt])
        except (OSError, GreetingError):
            self.give_up(attempt)
            raise
        return Taken(*self._forget(attempt)) if is_ready else None

    def _is_ready(self, attempt: int, plain: socket.socket) -> bool:
        """Do what is next for an attempt, and return whether its socket can be used.

        Raises:
          OSError: it has failed.
          GreetingError: the same, when it was connected.
        """
        if attempt in self._greeted:
            if (refusal := self._greeted[attempt]) is not None:
                raise refusal
            self._poller.register(plain)
            return True
        if attempt in self._tasks:
            return False
        if attempt not in self._connected_at:
            if not _is_connected(plain):
                return False
            self._connected_at[attempt] = self._clock()
            self._setup.note_connected(plain)
            if self._proxy_headers is not None:
                send_proxy_header_nowait(plain, self._proxy_headers)
            if self._tls is not None:
                self._secured[attempt] = self._tls.wrap(plain)
        secured = self._secured.get(attempt)
        if secured is not None and not secured.shake_hands():
            self._poller.also_writable(attempt, secured.is_blocked)
            return False
        if self._greeting is None:
            self._poller.also_writable(attempt, False)
            return True
        self._poller.unregister(attempt)
        scope = self._tasks[attempt] = trio.CancelScope()
        self._nursery.start_soon(self._greet, attempt, plain, self._greeting, scope, self._numbers[attempt])
        return False

    async def _greet(
        self, attempt: int, plain: socket.socket, greeting: Greeting, scope: trio.CancelScope, number: int
    ) -> None:
        refusal: GreetingError | OSError | None = None
        with scope:
            try:
                with plain.dup() as other:
                    connection: AsyncSocket = trio.socket.from_stdlib_socket(other)
                    if (secured := self._secured.get(attempt)) is not None:
                        connection = WaitingTlsSocket(secured, other)
                    await greeting.exchange(connection, number)
            except (GreetingError, OSError) as error:  # the latter where no descriptor is left
                refusal = error
        if not scope.cancel_called:  # else the number may be that of another attempt by now
            self._greeted[attempt] = refusal
            self.finished.append(attempt)

    def _forget(self, attempt: int) -> tuple[socket.socket | TlsSocket, int]:
        self._tasks.pop(attempt, None)
        self._greeted.pop(attempt, None)
        del self._numbers[attempt]
        plain = self._attempts.pop(attempt)
        return self._secured.pop(attempt, plain), self._connected_at.pop(attempt, 0)

    def is_connected(self, attempt: int) -> bool:
        """See `Dialer.is_connected`."""
        return attempt in self._tasks

    def has_begun(self, attempt: int) -> bool:
        """See `Dialer.has_begun`."""
        return attempt in self._connected_at

    def give_up(self, attempt: int) -> None:
        """See `Dialer.give_up`."""
        task = self._tasks.get(attempt)
        if task is None:
            self._poller.unregister(attempt)
        else:
            task.cancel()
        self._forget(attempt)[0].close()


def _is_connected(plain: socket.socket) -> bool:
    """Return whether an attempt was successful; False if that is not known yet.

    Raises:
      OSError: it has failed.
    """
    error = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
    try:
        plain.getpeername()
    except OSError as not_yet:
        if not_yet.errno == errno.ENOTCONN:
            return False
        raise
    if is_connected_to_itself(plain):
        raise SelfConnectionError
    return True

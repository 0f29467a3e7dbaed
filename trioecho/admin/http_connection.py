"""One HTTP connection: `hypercorn` speaks HTTP/1.1, and this moves its bytes, within bounds.

hypercorn's own loop over a connection is not used, because it has no bounds where this process
needs them: it sends for as long as a peer does not read, also when it is cancelled, and it
speaks HTTP/2 to everybody, in which one connection can ask for a thousand things at a time.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H2ProtocolAssumedError, H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from .pace import SharedPace

# An ASGI application.
Application = Callable[[Any, Any, Any], Awaitable[None]]

_RECEIVE_BYTES = 4096
# After a rest, what may come in so many seconds may come at once, but not faster than so many times the pace.
_BURST_S = 5.0
_FASTEST = 10
_LINGER_S = 1.0
_LINGER_BYTES = 1 << 16


class HttpPaces:
    """The paces of all connections together.

    Attributes:
      accepts, receives, requests: to be waited for at each of them.
    """

    def __init__(self, limits: HttpLimits) -> None:
        self.accepts: SharedPace = _pace(limits.accepts)
        self.receives: SharedPace = _pace(limits.receives)
        self.requests: SharedPace = _pace(limits.requests)


def _pace(per_second: float) -> SharedPace:
    return SharedPace(per_second, int(per_second * _BURST_S), _FASTEST * per_second)


@dataclass(frozen=True)
class HttpLimits:
    """What strangers can ask of an HTTP server.

    Attributes:
      connections: how many at a time, more than there can be streams. When there are so many,
        the oldest that has no stream is closed for the next: one that behaves is long done.
      accepts, receives, requests: how many of them a second, for all connections together. Five seconds'
        worth may come after a rest, at ten times the pace. A request takes about 0.7 ms of a processor,
        2 ms for metrics, an accepted connection 0.3, a receive 0.1. So no more than one message in a
        hundred is delayed by them; ``scripts/bench admin`` shows what is left.
      head_bytes: the size of a request line and its headers.
      head_s: seconds for the first request of a connection to come.
      request_s: seconds in which a reply has to be taken.
      send_s: seconds in which a part of a stream has to be taken.
      idle_s: seconds between requests.
    """

    connections: int = 32
    accepts: float = 5
    receives: float = 20
    requests: float = 5
    head_bytes: int = 8192
    head_s: float = 5.0
    request_s: float = 10.0
    send_s: float = 10.0
    idle_s: float = 60.0


class _Http1(H11Protocol):
    """HTTP/1.1 for every client, also for one that would speak HTTP/2."""

    async def _check_protocol(self, event: h11.Request) -> None:
        # hypercorn would switch to h2c here, which this does not speak. "A server MAY ignore a received
        # Upgrade header field" (RFC 9110, 7.8), and the reply to the request is an ordinary one then.
        if event.method == b"PRI":  # who speaks HTTP/2 without asking understands no reply of HTTP/1.1
            raise H2ProtocolAssumedError(b"")


class HttpConnection:
    """Serves the requests of one connection, until it ends, fails, or takes too long.

    Args:
      stream: the connection.
      application: what replies.
      config: of hypercorn.
      limits: the clocks.
      paces: what it keeps to.

    Attributes:
      is_stream: whether a reply goes on that may take any time.
    """

    def __init__(
        self,
        stream: trio.SocketStream,
        application: Application,
        config: Config,
        limits: HttpLimits,
        paces: HttpPaces,
    ) -> None:
        self._stream = stream
        self._application = application
        self._config = config
        self._limits = limits
        self._paces = paces
        self._scope = trio.CancelScope()
        self._sending = trio.Lock()
        self._receiving = trio.CancelScope()
        self._has_ended = False
        self._is_free = trio.Event()  # no request is being replied to
        self._is_free.set()
        self.is_stream: bool = False

    def close(self) -> None:
        """End it now."""
        self._scope.cancel()

    async def run(self) -> None:
        """Serve, and close the connection. Cancellation closes it at once."""
        try:
            with self._scope:
                self._scope.deadline = trio.current_time() + self._limits.head_s
                async with TaskGroup() as tasks:
                    protocol = _Http1(
                        self._call,
                        self._config,
                        WorkerContext(None),
                        tasks,
                        ConnectionState({"note_stream": self._note_stream}),
                        ssl=False,
                        client=None,
                        server=None,
                        send=self._send,
                    )
                    await protocol.initiate()
                    await self._receive(protocol)
                await self._linger()
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _receive(self, protocol: H11Protocol) -> None:
        """Hand on what comes, until the peer or the protocol ends the connection."""
        with self._receiving, contextlib.suppress(H2ProtocolAssumedError):
            while data := await self._receive_some():
                await protocol.handle(RawData(data))
            if not self.is_stream:
                await self._is_free.wait()  # the peer has ended its half, and waits for the reply
        self._has_ended = True
        await protocol.handle(Closed())

    async def _receive_some(self) -> bytes:
        try:
            data = bytes(await self._stream.receive_some(_RECEIVE_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""
        await self._paces.receives.wait_for_turn()
        return data

    async def _send(self, event: Event) -> None:
        """Send what the protocol gives, or end the connection if it is not taken."""
        if isinstance(event, RawData):
            async with self._sending:
                try:
                    with trio.fail_after(self._limits.send_s):
                        await self._stream.send_all(event.data)
                except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                    self.close()
                    await trio.lowlevel.checkpoint()
        elif isinstance(event, Closed):
            self._end()

    def _end(self) -> None:
        """Receive no more requests."""
        self._has_ended = True
        self._receiving.cancel()

    async def _linger(self) -> None:
        """Let the peer read the last reply: with something unread a close would reset the connection."""
        self._scope.deadline = trio.current_time() + _LINGER_S
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._stream.send_eof()
        left = _LINGER_BYTES
        while left > 0 and (data := await self._receive_some()):
            left -= len(data)

    # ---- a request ----

    async def _call(self, scope: Any, receive: Any, send: Any, sync_spawn: object, call_soon: object) -> None:
        self._is_free = trio.Event()
        self._scope.deadline = trio.current_time() + self._limits.request_s
        try:
            await self._paces.requests.wait_for_turn()
            await self._application(scope, receive, send)
        finally:
            self.is_stream = False
            self._is_free.set()
            if not self._has_ended:
                self._scope.deadline = trio.current_time() + self._limits.idle_s

    def _note_stream(self) -> None:
        """Let the reply take any time; each part of it has a clock of its own."""
        self.is_stream = True
        self._scope.deadline = math.inf

"""The bytes of one connection: how they come from the kernel and go back to it.

Two kinds with one interface: receives and sends that wait, and, on plain sockets, receives
and sends that do not. `SocketTransport` works on a plain socket without Trio's
`~trio.SocketStream` in between, because it must know what a stream does not report: how much
of a send the kernel has accepted, when it is blocked, and what has already arrived.
`StreamTransport` takes any other Trio stream (TLS, in-memory streams) and comes as near as a
stream allows.
"""

from __future__ import annotations

import abc
import contextlib
import socket

import trio

from ..base.describe import describe
from ..base.resets import reset_at_close
from ..base.send_queue import count_in_send_queue
from ..errors import LocalProtocolError
from .trio_errors import ConnectionLostError

# What one receive takes at most. It bounds how long one connection keeps the
# others waiting.
RECEIVE_BYTES = 1 << 16
# Where receives share a buffer (allocating so much for each would cost more than
# the receive). `scripts/bench --only bulk` measures it: fewer and larger receives
# are cheaper for frames of many KiB.
SHARED_RECEIVE_BYTES = 1 << 18
# How much a stream is given at a time, so that the write clock sees progress.
STREAM_SEND_BYTES = 1 << 16
# A stream cannot be asked what has already arrived; it gets this long to give it.
STREAM_ARRIVED_S = 0.05
# To receive what is here already, a stream gets this many turns, which take no time.
STREAM_LOOK_TURNS = 8
# ... and how much it can have is taken to be more than Linux buffers (tcp_rmem, 6 MiB).
STREAM_RECEIVE_CAPACITY = 8 << 20


class Transport(abc.ABC):
    """One connection's bytes.

    Attributes:
      client_address: the socket address of the client, where a balancer has sent it; else None.

    All methods raise `ConnectionLostError` when the connection is lost and
    `trio.ClosedResourceError` after it was closed here. All async ones are checkpoints.
    """

    __slots__ = ("_client_address",)

    _client_address: object

    @property
    def client_address(self) -> object:
        return getattr(self, "_client_address", None)  # most connections have none, and need no time for it

    @client_address.setter
    def client_address(self, address: object) -> None:
        self._client_address = address

    def receive_nowait(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        """Return bytes that are here, none at the peer's end; None when only a wait could give some.

        Where receives share a buffer, what is returned lasts until the next one.
        Given a buffer, it may be received straight into that, and is a view of it then.
        """
        return None

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Return how many of these bytes were accepted without a wait, from the first on; perhaps none."""
        return 0

    @abc.abstractmethod
    async def receive(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        """Wait for something to receive, and return it as `receive_nowait` does; rarely None."""

    @abc.abstractmethod
    async def receive_arrived(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        """Return what is here already, as `receive_nowait` does.

        Waits only as long as it takes to know.
        """

    @abc.abstractmethod
    async def look(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        """Return what `receive_arrived` does, in no time, for a caller that has waited already."""

    @abc.abstractmethod
    async def send(self, data: bytes | memoryview) -> int:
        """Wait until some of these bytes are accepted, and return how many; rarely 0.

        When cancelled, a stream may have accepted an unknown part.
        """

    @abc.abstractmethod
    def receive_capacity(self) -> int:
        """Return how many bytes can have arrived and not been received: the size of the kernel's buffer."""

    @property
    def is_inside_record(self) -> bool:
        """Whether a record of TLS has come in part, so that nothing in it can be received yet."""
        return False

    @property
    @abc.abstractmethod
    def can_send_nowait(self) -> bool:
        """Whether `send_nowait` sends, if the kernel has room."""

    def count_untaken(self) -> int:
        """Return how many bytes before the end the peer's system has not taken; 0 where that is not known."""
        return 0

    @property
    @abc.abstractmethod
    def can_half_close(self) -> bool:
        """Whether `send_eof` works: TLS has no half-close."""

    @abc.abstractmethod
    async def send_eof(self) -> None:
        """Half-close: end this direction; what was sent before still arrives."""

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Close the connection."""

    @abc.abstractmethod
    async def abort(self) -> None:
        """Close the connection so that the peer cannot take it for a clean end, where the kind allows."""


class SocketTransport(Transport):
    """A connected, plain stream socket; takes ownership of it.

    Attributes:
      socket: the non-blocking socket, for a reactor that watches it with an epoll of its own.

    Args:
      connection: the socket.
      shared_buffer: where to receive; all connections of a thread can share one.
    """

    __slots__ = ("_shared_buffer", "socket")

    def __init__(self, connection: socket.socket, shared_buffer: memoryview | None = None) -> None:
        connection.setblocking(False)
        with contextlib.suppress(OSError):  # not TCP, but a Unix socket, or already reset
            # An echo must not wait for the acknowledgement of the one before (RFC 896).
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket: socket.socket = connection
        self._shared_buffer = shared_buffer

    def receive_nowait(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        place = buffer or self._shared_buffer
        try:
            if place is None:
                return self.socket.recv(RECEIVE_BYTES)
            return place[: self.socket.recv_into(place)]
        except BlockingIOError:
            return None
        except OSError as error:
            raise self.translate_error(error) from error

    def send_nowait(self, data: bytes | memoryview) -> int:
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self.translate_error(error) from error

    def translate_error(self, error: OSError) -> Exception:
        """Return what to raise for an error of the socket."""
        translated: Exception
        if self.socket.fileno() < 0:
            translated = trio.ClosedResourceError("this connection was already closed")
        else:
            translated = lost_error(error)
        translated.__cause__ = error
        return translated

    def _check_open(self) -> None:
        if self.socket.fileno() < 0:
            raise trio.ClosedResourceError("this connection was already closed")

    async def wait_readable(self) -> None:
        """Wait until `receive_nowait` is likely to return something."""
        self._check_open()
        await trio.lowlevel.wait_readable(self.socket)

    async def wait_writable(self) -> None:
        """Wait until `send_nowait` is likely to accept something."""
        self._check_open()
        await trio.lowlevel.wait_writable(self.socket)

    async def receive(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        await self.wait_readable()
        return self.receive_nowait(buffer)

    async def receive_arrived(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        await trio.lowlevel.checkpoint()
        return self.receive_nowait(buffer)

    async def look(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        return await self.receive_arrived(buffer)

    async def send(self, data: bytes | memoryview) -> int:
        await self.wait_writable()
        return self.send_nowait(data)

    def receive_capacity(self) -> int:
        self._check_open()
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    @property
    def can_send_nowait(self) -> bool:
        return True

    def count_untaken(self) -> int:
        return max(0, count_in_send_queue(self.socket) - 1)  # the end itself, a FIN, counts as a byte

    @property
    def can_half_close(self) -> bool:
        return True

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self.translate_error(error) from error

    async def aclose(self) -> None:
        self._close()
        await trio.lowlevel.checkpoint()

    async def abort(self) -> None:
        reset_at_close(self.socket)
        self._close()
        await trio.lowlevel.checkpoint()

    def _close(self) -> None:
        if self.socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self.socket)
            self.socket.close()


class StreamTransport(Transport):
    """Any Trio stream; takes ownership of it.

    A stream cannot be asked what has arrived, and does not report what a cancelled send has sent.
    """

    __slots__ = ("_stream",)

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def receive(self, buffer: memoryview | None = None) -> bytes:
        try:
            return bytes(await self._stream.receive_some(RECEIVE_BYTES))
        except trio.BrokenResourceError as error:
            raise lost_error(error) from error

    async def receive_arrived(self, buffer: memoryview | None = None) -> bytes | None:
        with trio.move_on_after(STREAM_ARRIVED_S):
            return await self.receive()
        return None

    async def look(self, buffer: memoryview | None = None) -> bytes | None:
        received = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_soon, nursery.cancel_scope)
            # The caller has given up a wait before this, which some streams do not survive.
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                received = await self.receive()
            nursery.cancel_scope.cancel()
        return received

    async def send(self, data: bytes | memoryview) -> int:
        piece = memoryview(data)[:STREAM_SEND_BYTES]
        try:
            await self._stream.send_all(piece)
        except trio.BrokenResourceError as error:
            raise lost_error(error) from error
        return len(piece)

    def receive_capacity(self) -> int:
        return STREAM_RECEIVE_CAPACITY

    @property
    def can_send_nowait(self) -> bool:
        return False

    @property
    def can_half_close(self) -> bool:
        return isinstance(self._stream, trio.abc.HalfCloseableStream)

    async def send_eof(self) -> None:
        if not isinstance(self._stream, trio.abc.HalfCloseableStream):
            raise LocalProtocolError(f"{type(self._stream).__name__} has no half-close; close it instead")
        try:
            await self._stream.send_eof()
        except trio.BrokenResourceError as error:
            raise lost_error(error) from error

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        except trio.BrokenResourceError as error:
            raise lost_error(error) from error

    async def abort(self) -> None:
        await trio.aclose_forcefully(self._stream)


def lost_error(error: Exception) -> ConnectionLostError:
    """Return what to raise for an error that means that the connection is lost."""
    words = describe(error)
    return ConnectionLostError("connection lost" + (f": {words}" if words != type(error).__name__ else ""))


async def _cancel_soon(scope: trio.CancelScope) -> None:
    for _ in range(STREAM_LOOK_TURNS):
        await trio.lowlevel.checkpoint()
    scope.cancel()


def open_transport(stream: trio.abc.Stream) -> Transport:
    """Return the transport for a stream, which belongs to the transport from now on.

    Raises:
      TypeError: it is no stream.
    """
    if isinstance(stream, trio.SocketStream):
        return SocketTransport(socket.socket(fileno=stream.socket.detach()))
    if not isinstance(stream, trio.abc.Stream):
        raise TypeError(
            "a FrameChannel needs a connected Trio stream, as trio.open_tcp_stream returns, "
            f"not {type(stream).__name__}"
        )
    return StreamTransport(stream)

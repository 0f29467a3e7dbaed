"""The bytes of one connection: how they come from the kernel and go back to it.

Two kinds with one interface: non-blocking receives and sends, and waits.
`SocketTransport` works on a plain socket without Trio's `~trio.SocketStream` in
between, because it must know what a stream does not tell: how much of a send the
kernel has accepted, when it is blocked, and what has already arrived.
`StreamTransport` takes any other Trio stream (TLS, in-memory streams) and comes
as near as a stream allows.
"""

from __future__ import annotations

import abc
import contextlib
import socket
import struct

import trio

from .errors import LocalProtocolError

# What one receive takes at most. It bounds how long one connection keeps the
# others waiting.
RECEIVE_BYTES = 1 << 16
# Where receives share a buffer (allocating so much for each would cost more than
# the receive). Fewer and larger ones are cheaper for frames of many KiB.
SHARED_RECEIVE_BYTES = 1 << 18
# How much a stream is given at a time, so that the write clock sees progress.
STREAM_SEND_BYTES = 1 << 16
# A stream cannot be asked what has already arrived; it gets this long to say.
STREAM_ARRIVED_S = 0.05
# ... and how much it can have is taken to be more than Linux buffers (tcp_rmem, 6 MiB).
STREAM_RECEIVE_CAPACITY = 8 << 20

# on, 0 seconds: close() discards what is unsent and resets the connection
_LINGER_RESET = struct.pack("ii", 1, 0)


class Transport(abc.ABC):
    """One connection's bytes.

    All methods raise `trio.BrokenResourceError` when the connection is lost and
    `trio.ClosedResourceError` after it was closed here.
    """

    __slots__ = ()

    @abc.abstractmethod
    def receive_nowait(self, room: memoryview | None = None) -> bytes | memoryview | None:
        """Bytes that are here, none at the peer's end, None when there is nothing.

        Where receives share a buffer, what is returned lasts until the next one.
        Given room, it may be received straight into that, and is a view of it then.
        """

    @abc.abstractmethod
    def send_nowait(self, data: bytes | memoryview) -> int:
        """How many of these bytes were accepted, from the first on; perhaps none.

        When it is not all of them, call again with the rest, after `wait_writable`.
        """

    @abc.abstractmethod
    async def wait_readable(self) -> None:
        """Wait until `receive_nowait` is likely to have something. Always a checkpoint."""

    @abc.abstractmethod
    async def wait_arrived(self) -> None:
        """Wait as long as it takes to know whether something is here already. A checkpoint."""

    @abc.abstractmethod
    async def wait_writable(self) -> None:
        """Wait until `send_nowait` is likely to accept something. Always a checkpoint."""

    @property
    @abc.abstractmethod
    def receive_capacity(self) -> int:
        """Bytes that can have arrived and not been received: the size of the kernel's buffer."""

    @property
    @abc.abstractmethod
    def can_send_at_once(self) -> bool:
        """Whether `send_nowait` sends, if there is room, without a wait after it."""

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
        """Close it so that the peer cannot take it for a clean end, where the kind allows."""


class SocketTransport(Transport):
    """A connected, plain stream socket; takes ownership of it.

    Attributes:
      socket: the non-blocking socket, for who drives it with an epoll of its own.

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

    def receive_nowait(self, room: memoryview | None = None) -> bytes | memoryview | None:
        buffer = room or self._shared_buffer
        try:
            if buffer is None:
                return self.socket.recv(RECEIVE_BYTES)
            return buffer[: self.socket.recv_into(buffer)]
        except BlockingIOError:
            return None
        except OSError as error:
            raise self.as_broken(error) from error

    def send_nowait(self, data: bytes | memoryview) -> int:
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self.as_broken(error) from error

    def as_broken(self, error: OSError) -> Exception:
        """What to raise for an error of the socket."""
        broken: Exception
        if self.socket.fileno() < 0:
            broken = trio.ClosedResourceError("this connection was already closed")
        else:
            broken = trio.BrokenResourceError(f"connection lost: {error.strerror or error}")
        broken.__cause__ = error
        return broken

    def _check_open(self) -> None:
        if self.socket.fileno() < 0:
            raise trio.ClosedResourceError("this connection was already closed")

    async def wait_readable(self) -> None:
        self._check_open()
        await trio.lowlevel.wait_readable(self.socket)

    async def wait_arrived(self) -> None:
        await trio.lowlevel.checkpoint()

    async def wait_writable(self) -> None:
        self._check_open()
        await trio.lowlevel.wait_writable(self.socket)

    @property
    def receive_capacity(self) -> int:
        self._check_open()
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    @property
    def can_send_at_once(self) -> bool:
        return True

    @property
    def can_half_close(self) -> bool:
        return True

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self.as_broken(error) from error

    async def aclose(self) -> None:
        self._close()
        await trio.lowlevel.checkpoint()

    async def abort(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self._close()
        await trio.lowlevel.checkpoint()

    def _close(self) -> None:
        if self.socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self.socket)
            self.socket.close()


class StreamTransport(Transport):
    """Any Trio stream; takes ownership of it.

    A stream can only wait, so the waits do the work: `wait_readable` receives
    what `receive_nowait` then gives, and `wait_writable` sends what `send_nowait`
    was called with before, up to 64 KiB, which the next call then reports.
    """

    __slots__ = ("_received", "_sent", "_stream", "_to_send")

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._received: bytes | None = None
        self._to_send: bytes | memoryview = b""
        self._sent = 0

    def receive_nowait(self, room: memoryview | None = None) -> bytes | None:
        received, self._received = self._received, None
        return received

    def send_nowait(self, data: bytes | memoryview) -> int:
        sent, self._sent = self._sent, 0
        self._to_send = memoryview(data)[sent : sent + STREAM_SEND_BYTES]
        return sent

    async def wait_readable(self) -> None:
        if self._received is None:
            self._received = bytes(await self._stream.receive_some(RECEIVE_BYTES))
        else:
            await trio.lowlevel.checkpoint()

    async def wait_arrived(self) -> None:
        with trio.move_on_after(STREAM_ARRIVED_S):
            await self.wait_readable()

    async def wait_writable(self) -> None:
        await self._stream.send_all(self._to_send)
        self._sent = len(self._to_send)

    @property
    def receive_capacity(self) -> int:
        return STREAM_RECEIVE_CAPACITY

    @property
    def can_send_at_once(self) -> bool:
        return False

    @property
    def can_half_close(self) -> bool:
        return isinstance(self._stream, trio.abc.HalfCloseableStream)

    async def send_eof(self) -> None:
        if not isinstance(self._stream, trio.abc.HalfCloseableStream):
            raise LocalProtocolError(f"{type(self._stream).__name__} has no half-close; close it instead")
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def abort(self) -> None:
        await trio.aclose_forcefully(self._stream)


def open_transport(stream: trio.abc.Stream) -> Transport:
    """The transport for a stream, which belongs to the transport from now on."""
    if isinstance(stream, trio.SocketStream):
        return SocketTransport(socket.socket(fileno=stream.socket.detach()))
    return StreamTransport(stream)

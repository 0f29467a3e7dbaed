"""The bytes of one connection: how they come from the kernel and go back to it.

Two kinds with one interface. `SocketTransport` works on a plain socket without
Trio's `~trio.SocketStream` in between, because it must know what a stream does
not tell: how much of a send the kernel has accepted, how long it was blocked,
and what has already arrived. `StreamTransport` takes any other Trio stream
(TLS, in-memory streams) and comes as near as a stream allows.
"""

from __future__ import annotations

import abc
import contextlib
import socket
import struct
from collections.abc import Iterator

import trio

from .errors import LocalProtocolError, WriteTimeoutError
from .limits import or_infinite

# What one receive takes at most. It bounds how long one connection keeps the
# others waiting; larger gained nothing for small frames.
RECEIVE_BYTES = 1 << 16
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

    Attributes:
      bytes_sent (int): bytes accepted by the kernel (or the stream) so far.
      blocked_s (float): seconds spent in sends, so far, waiting for the peer to read.

    All methods raise `trio.BrokenResourceError` when the connection is lost and
    `trio.ClosedResourceError` after it was closed here.
    """

    def __init__(self) -> None:
        self.bytes_sent: int = 0
        self.blocked_s: float = 0.0

    def _note_sent(self, count: int) -> None:
        self.bytes_sent += count

    @abc.abstractmethod
    async def receive_some(self) -> bytes:
        """Wait for bytes and return them; b"" at the peer's end. Always a checkpoint."""

    @abc.abstractmethod
    async def receive_arrived(self) -> bytes | None:
        """Bytes that are here already, b"" at the peer's end, None when nothing is. A checkpoint."""

    @property
    @abc.abstractmethod
    def receive_capacity(self) -> int:
        """Bytes that can have arrived and not been received: the size of the kernel's buffer."""

    @abc.abstractmethod
    async def send_all(self, data: bytes | memoryview, timeout_s: float) -> None:
        """Send it all. A checkpoint only if it has to wait.

        Raises:
          WriteTimeoutError: no byte was accepted for ``timeout_s`` (0: no limit).

        After a cancellation or an error `bytes_sent` tells what was accepted.
        """

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

    @contextlib.contextmanager
    def _blocked(self, timeout_s: float) -> Iterator[None]:
        """Around a wait for the peer to read: time it, and end it at the write clock."""
        began = trio.current_time()
        try:
            with trio.move_on_at(began + or_infinite(timeout_s)) as clock:
                yield
        finally:
            self.blocked_s += trio.current_time() - began
        if clock.cancelled_caught:
            raise WriteTimeoutError(timeout_s)


class SocketTransport(Transport):
    """A connected, plain stream socket; takes ownership of it."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        connection.setblocking(False)
        with contextlib.suppress(OSError):  # not TCP, but a Unix socket, or already reset
            # An echo must not wait for the acknowledgement of the one before (RFC 896).
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection

    @contextlib.contextmanager
    def _os_errors_as_broken(self) -> Iterator[None]:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError("this connection was already closed")
        try:
            yield
        except BlockingIOError:
            raise
        except OSError as error:
            raise trio.BrokenResourceError(f"connection lost: {error.strerror or error}") from error

    async def receive_some(self) -> bytes:
        with self._os_errors_as_broken():
            while True:
                # Waiting first, not trying first: after an echo there is seldom
                # anything to receive yet, and the wait is a checkpoint as well,
                # so a peer whose input never ends cannot starve the others.
                await trio.lowlevel.wait_readable(self._socket)
                with contextlib.suppress(BlockingIOError):
                    return self._socket.recv(RECEIVE_BYTES)

    async def receive_arrived(self) -> bytes | None:
        await trio.lowlevel.checkpoint()
        with self._os_errors_as_broken():
            try:
                return self._socket.recv(RECEIVE_BYTES)
            except BlockingIOError:
                return None

    @property
    def receive_capacity(self) -> int:
        with self._os_errors_as_broken():
            return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    async def send_all(self, data: bytes | memoryview, timeout_s: float) -> None:
        with self._os_errors_as_broken():
            sent = self._send_some(data)
            while sent < len(data):
                with self._blocked(timeout_s):
                    await trio.lowlevel.wait_writable(self._socket)
                sent += self._send_some(memoryview(data)[sent:])

    def _send_some(self, data: bytes | memoryview) -> int:
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            return 0
        self._note_sent(sent)
        return sent

    @property
    def can_half_close(self) -> bool:
        return True

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        with self._os_errors_as_broken():
            self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        self._close()
        await trio.lowlevel.checkpoint()

    async def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self._close()
        await trio.lowlevel.checkpoint()

    def _close(self) -> None:
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


class StreamTransport(Transport):
    """Any Trio stream; takes ownership of it.

    A stream does not tell waiting from working, so all the time its sends take
    counts as blocked; and it accepts bytes in pieces of 64 KiB, as far as the
    write clock and `bytes_sent` can see.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__()
        self._stream = stream

    async def receive_some(self) -> bytes:
        return bytes(await self._stream.receive_some(RECEIVE_BYTES))

    async def receive_arrived(self) -> bytes | None:
        with trio.move_on_after(STREAM_ARRIVED_S):
            return await self.receive_some()
        return None

    @property
    def receive_capacity(self) -> int:
        return STREAM_RECEIVE_CAPACITY

    async def send_all(self, data: bytes | memoryview, timeout_s: float) -> None:
        view = memoryview(data)
        for start in range(0, len(view), STREAM_SEND_BYTES):
            piece = view[start : start + STREAM_SEND_BYTES]
            with self._blocked(timeout_s):
                await self._stream.send_all(piece)
            self._note_sent(len(piece))

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

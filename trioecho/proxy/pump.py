"""One direction of one connection, from the socket of one side to that of the other, without faults."""

from __future__ import annotations

import abc
import contextlib
import enum
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import trio

from ..connection.transport import SocketTransport


@dataclass(eq=False)
class Side:
    """The client of a connection, or its server.

    Attributes:
      transport: its socket.
      has_ended: whether the end of its stream has arrived.
      is_reset: whether it has reset the connection.
      record: called with all bytes that it sends; None if nobody wants to know.
    """

    transport: SocketTransport
    has_ended: bool = False
    is_reset: bool = False
    record: Callable[[bytes | memoryview], object] | None = None

    def receive_nowait(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        """Receive what has come, as its transport does.

        Raises:
          trio.BrokenResourceError: the connection is lost.
        """
        data = self._receive_nowait(buffer)
        if data and self.record is not None:
            self.record(data)
        return data

    def _receive_nowait(self, buffer: memoryview | None) -> bytes | memoryview | None:
        return self.transport.receive_nowait(buffer)

    async def wait_readable(self) -> None:
        """Wait until `receive_nowait` is likely to return something."""
        await self.transport.wait_readable()

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Send what its kernel takes now; return how much. What it does not take comes first again.

        Raises:
          trio.BrokenResourceError: the connection is lost.
        """
        return self.transport.send_nowait(data)

    async def aclose(self) -> None:
        """Close the connection to this side."""
        await self.transport.aclose()

    def send_eof(self) -> None:
        """End the stream to this side.

        Raises:
          trio.BrokenResourceError: the connection is lost.
        """
        try:
            self.transport.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self.transport.translate_error(error) from error


class PumpEnd(enum.Enum):
    """Why a pump has stopped."""

    ENDED = "ended"  # the source has ended its stream, and that was passed on
    RESET = "reset"  # the source has reset the connection, or a fault does
    SINK_LOST = "sink lost"  # the sink has reset the connection


class Pump(abc.ABC):
    """Passes on what the source sends, to its end.

    Attributes:
      source, sink: the two sides.
      passed_bytes: bytes that the sink's kernel has accepted.
      is_blocked: whether the sink does not take what is to be sent.
      is_stalled: whether nothing will be passed on any more, by a fault.
      is_done: whether it has stopped; set by its owner.

    Args:
      source, sink: the two sides.
      on_passed: called with the number of bytes that the sink's kernel has accepted.
    """

    def __init__(self, source: Side, sink: Side, on_passed: Callable[[int], object]) -> None:
        self.source: Side = source
        self.sink: Side = sink
        self._on_passed = on_passed
        self.passed_bytes: int = 0
        self.is_blocked: bool = False
        self.is_stalled: bool = False
        self.is_done: bool = False

    @property
    def waits_for_time(self) -> bool:
        """Whether something is on its way that is not due yet."""
        return False

    @contextlib.contextmanager
    def _blocked(self) -> Iterator[None]:
        """Be blocked within the block."""
        self.is_blocked = True
        try:
            yield
        finally:
            self.is_blocked = False

    @abc.abstractmethod
    async def run(self) -> PumpEnd:
        """Pass everything on."""

    def _send(self, data: bytes | memoryview) -> int:
        """Send what the sink takes of it now; return how much."""
        sent = self.sink.send_nowait(data)
        self.passed_bytes += sent
        self._on_passed(sent)
        return sent


class PlainPump(Pump):
    """Passes bytes on as they come, at once."""

    async def run(self) -> PumpEnd:
        source = self.source
        while True:
            await source.wait_readable()
            try:
                data = source.receive_nowait()
            except trio.BrokenResourceError:
                return PumpEnd.RESET
            if data is None:
                continue
            try:
                if not data:
                    if self.source.is_reset:  # the error of that went to a send, and not to this receive
                        return PumpEnd.RESET
                    self.sink.send_eof()
                    return PumpEnd.ENDED
                sent = self._send(data)
                if sent < len(data):
                    await self._send_rest(bytes(data[sent:]))  # all pumps share the buffer
            except trio.BrokenResourceError:
                self.sink.is_reset = True  # at once: a receive from it may find no error any more
                return PumpEnd.SINK_LOST

    async def _send_rest(self, data: bytes) -> None:
        rest = memoryview(data)
        with self._blocked():
            while rest:
                await self.sink.transport.wait_writable()
                rest = rest[self._send(rest) :]

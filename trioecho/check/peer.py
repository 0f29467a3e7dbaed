"""A client's end of a connection, that does to a server what a case wants."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Iterable
from functools import partial

import trio

from .finding import Deviation, InconclusiveError, Kind, echo_deviation, plural
from .transcript import Transcript
from .wire import Wire

_RECEIVE_BYTES = 1 << 18
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}
# Longest wait for a connection: a SYN that a full backlog has dropped is sent
# again after 1 s, 3 s and 7 s.
_CONNECT_S = 8.0
# Who does not read sends for so long at most.
_MOST_SENDING_S = 5.0
# A server that takes bytes and gives none may be silent so many times longer.
_WHILE_SENDING = 5
# After wrong bytes, what else comes so soon is looked at; of what never ends, so long.
_EVIDENCE_S, _MOST_EVIDENCE_S, _EVIDENCE_BYTES = 0.1, 0.5, 1 << 16


@contextlib.asynccontextmanager
async def connected(
    address: tuple[str, int],
    wire: Wire,
    transcript: Transcript,
    *,
    number: int,
    patience_s: float,
    receive_buffer: int | None = None,
) -> AsyncIterator[Peer]:
    """A connection, closed when the block is left, however.

    Raises:
      Deviation: the server does not accept it.
    """
    try:
        with trio.fail_after(_CONNECT_S):
            sock = await _connect(address, receive_buffer)
    except (OSError, trio.TooSlowError) as error:
        if isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES:
            raise InconclusiveError(f"this machine cannot open more connections: {error.strerror}") from None
        reason = (
            f"no answer within {_CONNECT_S:g} s" if isinstance(error, trio.TooSlowError) else in_words(error)
        )
        if isinstance(error, ConnectionResetError):  # it was accepted, and reset before it was looked at
            transcript.happened(number, "connected, and the server reset it")
            raise Deviation(
                Kind.RESET, "a connection to be served", "the server reset the connection at once"
            ) from None
        transcript.happened(number, f"cannot connect: {reason}")
        raise Deviation(Kind.NO_CONNECTION, "a connection to be accepted", reason) from None
    transcript.happened(number, "connected")
    with sock:
        yield Peer(sock, wire, transcript, number, patience_s)


def in_words(error: Exception) -> str:
    """An error of the system, without the words that others have put around it."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number and number > 0 else str(error)


async def _connect(address: tuple[str, int], receive_buffer: int | None) -> trio.socket.SocketType:
    [family, kind, protocol, _, where], *_ = await trio.socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    sock = trio.socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await sock.connect(where)
    except BaseException:
        sock.close()
        raise
    return sock


class Peer:
    """A connection to the server.

    Sends may fail without a word: what a server does with a connection is told
    by what comes back on it.

    Attributes:
      number (int): which of the case's connections it is.
      patience_s (float): how long the server may be silent, in seconds.
      last_progress (float): when a byte was last sent or received, by Trio's clock.
    """

    def __init__(
        self,
        sock: trio.socket.SocketType,
        wire: Wire,
        transcript: Transcript,
        number: int,
        patience_s: float,
    ) -> None:
        self.number = number
        self.patience_s = patience_s
        self._sock = sock
        self._wire = wire
        self._transcript = transcript
        self._previous = b""  # the echoes before, which might come again
        self.last_progress: float = trio.current_time()

    def note(self, text: str) -> None:
        """Put something into the transcript that belongs to this connection."""
        self._transcript.happened(self.number, text)

    # ---- sending ----

    async def send(self, data: bytes) -> bool:
        """Send all of it; False if the server did not take it."""
        self._transcript.bytes_moved(self.number, "sent", data)
        return await self._send_all(data)

    async def send_pieces(self, pieces: Iterable[bytes], pause_s: float = 0) -> None:
        """Send each piece by itself, with a pause after it."""
        for index, piece in enumerate(pieces):
            if index:
                await trio.sleep(pause_s)
            if not await self.send(piece):
                return

    async def _send_all(self, data: bytes) -> bool:
        try:
            with memoryview(data) as view:
                sent = 0
                while sent < len(view):
                    sent += await self._sock.send(view[sent : sent + _RECEIVE_BYTES])
                    self.last_progress = trio.current_time()
        except OSError as error:
            self._transcript.happened(self.number, f"cannot send: {in_words(error)}")
            return False
        return True

    async def send_until_blocked(self, block: bytes, most: int, *, stall_s: float) -> int:
        """Send a block again and again, and never read, until no byte was taken for ``stall_s``.

        Returns:
          How many bytes went out.
        """
        sent = 0
        end = trio.current_time() + _MOST_SENDING_S
        self._transcript.happened(self.number, f"sending up to {most:,} bytes, without reading")
        try:
            with memoryview(block) as view:
                while sent < most and trio.current_time() < end:
                    start = sent % len(view)
                    with trio.move_on_after(stall_s) as stall:
                        sent += await self._sock.send(view[start : start + min(len(view), most - sent)])
                    if stall.cancelled_caught:
                        break
        except OSError as error:
            self._transcript.happened(self.number, f"cannot send: {in_words(error)}")
        self._transcript.happened(self.number, f"sent {sent:,} bytes")
        return sent

    def half_close(self) -> None:
        """End the sending side."""
        self._transcript.happened(self.number, "ended the sending side")
        with contextlib.suppress(OSError):
            self._sock.shutdown(trio.socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with an RST."""
        self._transcript.happened(self.number, "reset")
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._sock.close()

    def close(self) -> None:
        """Close the connection, whatever was not read."""
        self._transcript.happened(self.number, "closed")
        self._sock.close()

    # ---- receiving ----

    async def receive(
        self, *, most: int = _RECEIVE_BYTES, within_s: float | None = None, log: bool = True
    ) -> bytes | Kind:
        """What comes next: bytes, or the end, a reset, or silence.

        Time in which the server still takes what is being sent is no silence, up to
        a point.
        """
        patience_s = self.patience_s if within_s is None else within_s
        began = trio.current_time()
        self.last_progress = max(self.last_progress, began)
        while True:
            end = min(self.last_progress + patience_s, began + _WHILE_SENDING * patience_s)
            with trio.move_on_at(end):
                try:
                    data = await self._sock.recv(most)
                except OSError as error:
                    self._transcript.happened(self.number, f"the server reset it: {in_words(error)}")
                    return Kind.RESET
                if data:
                    self.last_progress = trio.current_time()
                    if log:
                        self._transcript.bytes_moved(self.number, "received", data)
                    return data
                self._transcript.happened(self.number, "the server ended its side")
                return Kind.END
            now = trio.current_time()
            if now >= min(self.last_progress + patience_s, began + _WHILE_SENDING * patience_s):
                self._transcript.happened(self.number, f"nothing for {now - began:.1f} s")
                return Kind.SILENCE

    async def receive_until_end(self, *, within_s: float | None = None) -> tuple[bytes, Kind]:
        """All that comes, and what came after it: the end, a reset, silence, or too much more."""
        received = bytearray()
        most_s = _WHILE_SENDING * (self.patience_s if within_s is None else within_s)
        end = trio.current_time() + most_s
        while isinstance(piece := await self.receive(within_s=within_s), bytes):
            received += piece
            # Whoever waits for an end is not out for gigabytes, nor for an eternity of single bytes.
            if len(received) > _EVIDENCE_BYTES or trio.current_time() > end:
                self._transcript.happened(self.number, "no more is received")
                return bytes(received), Kind.EXTRA
        return bytes(received), piece

    async def expect(self, expected: bytes, *, cause_id: str | None = None) -> None:
        """Receive exactly these bytes: frames, as echoes.

        Raises:
          Deviation: something else came.
        """
        received = bytearray()
        while len(received) < len(expected):
            piece = await self.receive()
            if isinstance(piece, Kind):
                raise self._deviation(piece, expected, bytes(received), cause_id)
            start = len(received)
            received += piece
            if not expected.startswith(piece, start):
                received += await self._what_else()
                if self._previous and received.startswith(self._previous[: len(received)]):
                    cause_id = "reply-twice"
                raise self._deviation(Kind.WRONG, expected, bytes(received), cause_id)
        self._previous = expected

    async def _what_else(self) -> bytes:
        """A little more of what comes, for the evidence."""
        more = bytearray()
        end = trio.current_time() + _MOST_EVIDENCE_S
        while len(more) < _EVIDENCE_BYTES and trio.current_time() < end:
            piece = await self.receive(within_s=_EVIDENCE_S)
            if isinstance(piece, Kind):
                break
            more += piece
        return bytes(more)

    def _deviation(self, kind: Kind, expected: bytes, received: bytes, cause_id: str | None) -> Deviation:
        return echo_deviation(
            self._wire, kind, expected, received, waited_s=self.patience_s, cause_id=cause_id
        )

    async def exchange(
        self,
        pieces: Iterable[bytes],
        expected: bytes,
        *,
        pause_s: float = 0,
        cause_id: str | None = None,
    ) -> None:
        """Send pieces while the echoes are read, which must be these bytes.

        Raises:
          Deviation: something else came.
        """
        deviation = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(self.send_pieces, pieces, pause_s))
            try:
                await self._expect_while_sending(expected, cause_id)
            except Deviation as error:
                deviation = error
                nursery.cancel_scope.cancel()
        if deviation is not None:
            raise deviation

    async def _expect_while_sending(self, expected: bytes, cause_id: str | None) -> None:
        await trio.lowlevel.checkpoint()  # the sender's first piece counts as progress
        await self.expect(expected, cause_id=cause_id)

    async def echo(self, *payloads: bytes, cause_id: str | None = None) -> None:
        """Send frames, one at a time, each in one piece, and each after the echo of the one before.

        Raises:
          Deviation: an echo is not right.
        """
        for payload in payloads:
            frame = self._wire.frame(payload)
            await self.exchange([frame], frame, cause_id=cause_id)

    async def expect_end(self, *, may_be_reset: bool = False, cause_id: str | None = None) -> None:
        """No more bytes, and the end of the stream.

        Raises:
          Deviation: something else came.
        """
        received, kind = await self.receive_until_end()
        expected = "no more bytes, and the end of the stream"
        if received:
            raise Deviation(
                Kind.EXTRA,
                expected,
                f"{plural(len(received), 'more byte')} came: {received[:16].hex(' ')}",
                received_bytes=received,
                cause_id=cause_id,
            )
        if kind is Kind.RESET and may_be_reset:
            return
        if kind is not Kind.END:
            words = (
                f"the connection was still open after {self.patience_s:.1f} s"
                if kind is Kind.SILENCE
                else "the server reset the connection"
            )
            raise Deviation(
                kind, expected, words, cause_id=cause_id if kind is Kind.SILENCE else "ends-with-reset"
            )

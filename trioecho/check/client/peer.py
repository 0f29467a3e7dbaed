"""A client's end of a connection, that does to a server what a case wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar

import trio

from ...base.quantities import plural
from .dialogue import ECHO, Dialogue
from .finding import Deviation, Kind, echo_deviation, is_stop
from .identified import cause_by_identifier
from .peer_socket import PeerSocket, error_in_words
from .tls_socket import CertificateRefusalError, HandshakeFailedError, handshake_deviation
from .transcript import Transcript
from .wire import Wire

_RECEIVE_BYTES = 1 << 18
# A client that does not read sends at most for this time.
_MOST_SENDING_S = 5.0
# A server that takes bytes and gives none may be silent this many times longer.
_WHILE_SENDING = 5
# Silence is counted in pieces of this length, so that a long stop of this machine is little of it.
_TICK_S = 0.1
# This system has buffers for a megabyte and more, which a slow path takes seconds to carry. As long as more
# than this is in them, and it becomes less, the server has not got all of it.
_REST_BYTES = 1 << 12
# What sums of floating-point numbers leave, and a clock cannot wait for.
_ROUNDING_S = 1e-9
# A pause between two pieces that is longer than meant by this much, and twice as long, may have been
# too long for a server: this machine was busy, and what the server does after the pause that was meant
# is not known.
_DELAY_S = 0.1
# After wrong bytes, what else comes so soon is looked at; of what never ends, so long.
_EVIDENCE_S, _MOST_EVIDENCE_S, _EVIDENCE_BYTES = 0.1, 0.5, 1 << 16


class Peer:
    """A connection to the server.

    Sends may fail without an error: what a server does with a connection is seen
    in what comes back on it.

    Attributes:
      number (int): which of the case's connections it is.
      patience_s (float): how long the server may be silent, in seconds.
      connect_s (float): how long it took until the connection was there, in seconds.
      last_progress (float): when a byte was last sent, or taken on the way, or received, by Trio's clock.
      was_ended (bool): whether the server has ended or reset the connection, as far as was seen.
      other (str): what is at the other end.
    """

    other: ClassVar[str] = "server"

    def __init__(
        self,
        sock: PeerSocket,
        wire: Wire,
        transcript: Transcript,
        number: int,
        patience_s: float,
        *,
        connect_s: float = 0.0,
        dialogue: Dialogue = ECHO,
    ) -> None:
        self.number = number
        self.connect_s = connect_s
        self.patience_s = patience_s
        self._sock = sock
        self._wire = wire
        self._transcript = transcript
        self._dialogue = dialogue
        self._previous = b""  # the echoes before, which might come again
        self._echoes = 0
        self.last_progress: float = trio.current_time()
        self.was_ended: bool = False
        self._longest_delay_s = 0.0

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
        self._longest_delay_s = 0.0
        for index, piece in enumerate(pieces):
            if index:
                await trio.sleep(pause_s)
                delay_s = trio.current_time() - self._sock.last_sent_at - pause_s
                self._longest_delay_s = max(self._longest_delay_s, delay_s)
            if not await self.send(piece):
                return

    async def send_and_half_close(self, data: bytes) -> bool:
        """Send all of it and end the sending side with the last byte; False if the server did not take it."""
        self._transcript.bytes_moved(self.number, "sent", data)
        return await self._send_all(data, then=self.half_close)

    async def send_and_close(self, data: bytes) -> None:
        """Send all of it, and close the connection with the last byte, before an echo can have come."""
        self._transcript.bytes_moved(self.number, "sent", data)
        await self._send_all(data, then=self.close)

    async def _send_all(self, data: bytes, *, then: Callable[[], None] | None = None) -> bool:
        try:
            with memoryview(data) as view:
                sent = 0
                while sent < len(view):
                    piece = view[sent : sent + _RECEIVE_BYTES]
                    if then is not None and sent + len(piece) == len(view):
                        sent += await self._sock.send_last(piece, then)
                    else:
                        sent += await self._sock.send(piece)
                    self.last_progress = trio.current_time()
        except OSError as error:
            self._cannot_send(error)
            return False
        return True

    def _cannot_send(self, error: OSError) -> None:
        self.was_ended = True
        self._transcript.happened(self.number, f"cannot send: {error_in_words(error)}")

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
            self._cannot_send(error)
        self._transcript.happened(self.number, f"sent {sent:,} bytes")
        return sent

    def half_close(self) -> None:
        """End the sending side."""
        self._transcript.happened(self.number, "ended the sending side")
        self._sock.half_close()

    def reset(self) -> None:
        """End the connection with an RST."""
        self._transcript.happened(self.number, "reset")
        self._sock.reset()

    def close(self) -> None:
        """Close the connection, whatever was not read."""
        self._transcript.happened(self.number, "closed")
        self.release()

    def release(self) -> None:
        """Close the connection without a word in the transcript, as one whose block is left."""
        self._sock.close()

    # ---- receiving ----

    async def receive(
        self, *, most: int = _RECEIVE_BYTES, within_s: float | None = None, log: bool = True
    ) -> bytes | Kind:
        """Receive what comes next: bytes, or the end, a reset, or silence.

        Time in which the server still takes what is being sent, from this program or from
        this system's buffers, is no silence, up to a point. Nor is time in which this process
        did not run: the machine was busy, or stopped, and the server with it.
        """
        patience_s = self.patience_s if within_s is None else within_s
        began = trio.current_time()
        silent_s = waited_s = 0.0
        on_their_way = self._sock.bytes_on_their_way
        while (left_s := min(patience_s - silent_s, _WHILE_SENDING * patience_s - waited_s)) > _ROUNDING_S:
            tick_began = trio.current_time()
            tick_s = min(_TICK_S, left_s)
            with trio.move_on_after(tick_s):
                return await self._receive_now(most, log=log)
            now = trio.current_time()
            # One that ended a little late counts in full; of a long stop twice its length is counted.
            counted_s = min(now - tick_began, 2 * tick_s)
            before, on_their_way = on_their_way, self._sock.bytes_on_their_way
            if _REST_BYTES < on_their_way < before:
                self.last_progress = now
            has_moved = self.last_progress > tick_began
            silent_s = min(now - self.last_progress, counted_s) if has_moved else silent_s + counted_s
            waited_s += counted_s
        self._transcript.happened(self.number, f"nothing for {trio.current_time() - began:.1f} s")
        return Kind.SILENCE

    async def _receive_now(self, most: int, *, log: bool) -> bytes | Kind:
        try:
            data = await self._sock.receive(most)
        except HandshakeFailedError as error:
            self.was_ended = True
            self._transcript.happened(self.number, f"no connection under TLS: {error}")
            raise handshake_deviation(error) from error
        except CertificateRefusalError as error:
            raise Deviation(Kind.NO_CONNECTION, "a connection under TLS", str(error)) from error
        except OSError as error:
            self.was_ended = True
            self._transcript.happened(self.number, f"the {self.other} reset it: {error_in_words(error)}")
            return Kind.RESET
        if data:
            self.last_progress = trio.current_time()
            if log:
                self._transcript.bytes_moved(self.number, "received", data)
            return data
        self.was_ended = True
        self._transcript.happened(self.number, f"the {self.other} ended its side")
        return Kind.END

    async def receive_until_end(self, *, within_s: float | None = None) -> tuple[bytes, Kind]:
        """Receive all that comes, and what came after it: the end, a reset, silence, or too much more."""
        received = bytearray()
        most_s = _WHILE_SENDING * (self.patience_s if within_s is None else within_s)
        end = trio.current_time() + most_s
        while isinstance(piece := await self.receive(within_s=within_s), bytes):
            received += piece
            # A case that waits for an end wants neither gigabytes nor single bytes without end.
            if len(received) > _EVIDENCE_BYTES or trio.current_time() > end:
                self._transcript.happened(self.number, "no more is received")
                return bytes(received), Kind.EXTRA
        return bytes(received), piece

    async def expect(self, sent: bytes, *, cause_id: str | None = None, already: bytes = b"") -> None:
        """Receive exactly what is to come for these frames: the same, as echoes.

        Args:
          sent: the frames.
          cause_id: the likely cause, if something else comes.
          already: what has been received of it.

        Raises:
          Deviation: something else came.
        """
        expected, reader = self._dialogue.replies(sent), self._dialogue.reader(sent)
        received = bytearray()
        while len(received) < len(expected):
            piece = already or await self.receive()
            already = b""
            if isinstance(piece, Kind):
                later = reader.skip_missing()
                deviation = self._deviation(piece, expected, bytes(received) + reader.rest(), cause_id)
                if later:
                    count = plural(len(self._wire.split(later)[0]), "later request")
                    deviation.actual += f" ({count} had a reply)"
                raise deviation
            start = len(received)
            piece = reader.read(piece)
            received += piece
            if not expected.startswith(piece, start):
                received += reader.read(await self._what_else())
                if self._dialogue.comes_again(self._previous, bytes(received)):
                    cause_id = "reply-twice"
                raise self._proven(self._deviation(Kind.WRONG, expected, bytes(received), cause_id))
        if behind := reader.rest():
            raise self._proven(self._deviation(Kind.WRONG, expected, bytes(received) + behind, cause_id))
        self._previous = expected
        self._echoes += len(self._wire.split(expected)[0])

    async def _what_else(self) -> bytes:
        """Receive a little more of what comes, for the evidence."""
        more = bytearray()
        end = trio.current_time() + _MOST_EVIDENCE_S
        while len(more) < _EVIDENCE_BYTES and trio.current_time() < end:
            piece = await self.receive(within_s=_EVIDENCE_S)
            if isinstance(piece, Kind):
                break
            more += piece
        return bytes(more)

    def _proven(self, deviation: Deviation) -> Deviation:
        """Add the cause that identifiers prove, if replies have them."""
        if (
            cause_id := cause_by_identifier(deviation, self._previous, self._dialogue, self._wire)
        ) is not None:
            deviation.cause_id, deviation.is_cause_seen = cause_id, True
        return deviation

    def _deviation(self, kind: Kind, expected: bytes, received: bytes, cause_id: str | None) -> Deviation:
        deviation = echo_deviation(
            self._wire,
            kind,
            expected,
            received,
            waited_s=self.patience_s,
            cause_id=cause_id,
            noun=self._dialogue.noun,
        )
        deviation.echoes_before = self._echoes
        return deviation

    async def exchange(
        self,
        pieces: Iterable[bytes],
        sent: bytes,
        *,
        pause_s: float = 0,
        cause_id: str | None = None,
    ) -> None:
        """Send pieces while the echoes are read, which must be those of these frames.

        Raises:
          Deviation: something else came.
        """
        deviation = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(self.send_pieces, pieces, pause_s))
            try:
                await self._expect_while_sending(sent, cause_id)
            except Deviation as error:
                deviation = error
                if is_stop(error) and self._longest_delay_s > max(_DELAY_S, pause_s):
                    error.delay_s = self._longest_delay_s
                nursery.cancel_scope.cancel()
        if deviation is not None:
            raise deviation

    async def _expect_while_sending(self, sent: bytes, cause_id: str | None) -> None:
        await trio.lowlevel.checkpoint()  # the sender's first piece counts as progress
        await self.expect(sent, cause_id=cause_id)

    async def echo(self, *payloads: bytes, cause_id: str | None = None) -> None:
        """Send frames, one at a time, each in one piece, and each after the echo of the one before.

        Raises:
          Deviation: an echo is not right.
        """
        for payload in payloads:
            frame = self._wire.frame(payload)
            await self.exchange([frame], frame, cause_id=cause_id)

    async def expect_end(self, *, may_be_reset: bool = False, cause_id: str | None = None) -> None:
        """See that no more bytes come, and then the end of the stream.

        Raises:
          Deviation: something else came.
        """
        received, kind = await self.receive_until_end()
        expected = "no more bytes, and the end of the stream"
        if received:
            if not self._dialogue.is_echo and self._dialogue.comes_again(self._previous, received):
                cause_id = "reply-twice"
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

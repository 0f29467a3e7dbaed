"""TLS over the bytes of one connection.

OpenSSL works in memory here: what is received is put into one buffer, what is to be sent is
taken from another. So, other than with a stream, all records that have come are decrypted in one pass,
all frames of a send are encrypted in one, and it is known what has arrived and what the kernel
has accepted.

TLS has a half-close, although few clients use it: the ``close_notify`` of one side ends only what
this side sends. Here, the end of the socket's stream follows it, as on a plain connection.
A peer whose stream ends without it has ended all the same: between two frames that is an end, and
inside one an `IncompleteFrameError`. The lengths of frames show what was cut off, so that nobody in
between can pass a part off as the whole.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import cast

import trio

from .tls_errors import handshake_error, loss_of
from .tls_records import RecordScanner
from .transport import RECEIVE_BYTES, SHARED_RECEIVE_BYTES, STREAM_SEND_BYTES, Transport
from .trio_errors import ConnectionLostError

# How much OpenSSL is given at a time: the longest record (RFC 8446, section 5.2), or some hundred of
# those without data.
_FEED_BYTES = 5 + (1 << 14) + 256
# A peer changes its keys once in gigabytes, and a server sends some tickets after the handshake.
_MOST_RECORDS_WITHOUT_DATA = 100
# What OpenSSL replies by itself takes some bytes; more waits only for a peer that does not read.
_MOST_OWN_BYTES = 1 << 12
# The end of a view would keep all that was before it.
_NOTHING = memoryview(b"")
# How much of what came first is kept, to see what it is if it is no TLS.
_FIRST_BYTES = 64


class TlsTransport(Transport):
    """A connection under TLS; takes ownership of the one below.

    Before `shake_hands` has returned True, nothing may be sent or received, except to discard it.

    Attributes:
      below: whose bytes are encrypted.
      has_received: whether the peer has sent anything.

    Args:
      below: connected.
      context: of a server or a client.
      server_hostname: whose certificate the peer must have; None at the server's side.
      server_side: whether this is the server.
      shared_buffer: where to decrypt; all connections of a thread can share one, with those below, too.
    """

    __slots__ = (
        "_encrypted",
        "_first_bytes",
        "_from_peer",
        "_has_ended",
        "_is_established",
        "_lost",
        "_object",
        "_read_ahead",
        "_records",
        "_records_without_data",
        "_shared_buffer",
        "_to_peer",
        "_unsent",
        "_unsent_payload",
        "below",
        "has_received",
    )

    def __init__(
        self,
        below: Transport,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
        shared_buffer: memoryview | None = None,
    ) -> None:
        self.below: Transport = below
        self.has_received: bool = False
        self._shared_buffer = shared_buffer
        self._from_peer = ssl.MemoryBIO()
        self._to_peer = ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._from_peer, self._to_peer, server_side=server_side, server_hostname=server_hostname
        )
        self._is_established = False
        self._first_bytes = b""
        self._has_ended = False
        # What was received, and OpenSSL has not got yet.
        self._encrypted = _NOTHING
        self._records_without_data = 0
        self._lost: ConnectionLostError | None = None
        self._read_ahead = b""
        # Records that were encrypted and not accepted below, and how many bytes lie in them.
        self._unsent = _NOTHING
        self._unsent_payload = 0
        self._records = RecordScanner()

    # ---- the handshake ----

    async def shake_hands(self, *, only_arrived: bool = False) -> bool:
        """Agree on keys with the peer. A checkpoint, and it goes on where it was cancelled.

        Args:
          only_arrived: whether to take no time, but only what has arrived.

        Returns:
          Whether it is done. It is not where only what had arrived was to be used, and also when the peer
          has ended its stream before it sent anything.

        Raises:
          TlsHandshakeError: it has failed, and the peer was told why.
          ConnectionLostError: the connection is lost.
        """
        while not await self._advance():
            raw = await (self.below.look() if only_arrived else self.below.receive())
            if raw is None:
                if only_arrived:
                    return False
                continue
            if not raw and not self.has_received:
                return False
            self._feed(raw)
        self._is_established = True
        self._first_bytes = b""
        return True

    async def _advance(self) -> bool:
        is_done = True
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            is_done = False
        except ssl.SSLError as error:
            with contextlib.suppress(ConnectionLostError):  # what has failed comes first
                await self._flush()
            raise handshake_error(error, self._first_bytes) from error
        await self._flush()
        return is_done

    # ---- receiving ----

    def receive_nowait(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        if not self._is_established:
            return self.below.receive_nowait(buffer)
        while (data := self._decrypt(buffer)) is None:
            raw = self.below.receive_nowait()
            if raw is None:
                return None
            self._feed(raw)
        return data

    async def receive(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        if not self._is_established:
            return await self.below.receive(buffer)
        # No other task may run between decrypting and the return: all decrypt into the same buffer.
        await trio.lowlevel.checkpoint()
        data = self._decrypt(buffer)
        if data is not None:
            return data
        raw = await self.below.receive()
        if raw is None:
            return None
        self._feed(raw)
        return self._decrypt(buffer)

    async def receive_arrived(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        """Return what is here already, and wait for the rest of a record that is here in part.

        What is in that record may be the beginning of a frame.
        """
        await trio.lowlevel.checkpoint()
        while (data := self._decrypt(buffer)) is None:
            raw = await self.below.receive_arrived()
            if raw is None:
                if not self._records.is_inside_one:
                    return None
                raw = await self.below.receive()
            if raw is not None:
                self._feed(raw)
        return data

    async def look(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        await trio.lowlevel.checkpoint()
        while (data := self._decrypt(buffer)) is None:
            raw = await self.below.look()
            if raw is None:
                return None
            self._feed(raw)
        return data

    def _feed(self, raw: bytes | memoryview) -> None:
        if not raw:
            self._note_end_below()
            return
        if not self._is_established and len(self._first_bytes) < _FIRST_BYTES:
            self._first_bytes += bytes(raw[:_FIRST_BYTES])
        self.has_received = True
        if self._is_established:
            self._encrypted = memoryview(b"".join((self._encrypted, raw)))
        else:
            self._from_peer.write(raw)
            self._records.follow(raw)

    def _note_end_below(self) -> None:
        if not self._is_established:
            self._from_peer.write_eof()
        elif self._records.is_inside_one:
            self._lost = ConnectionLostError("connection lost: the peer ended inside a TLS record")
        else:  # OpenSSL need not know; it would take it for an attack, and send nothing any more
            self._has_ended = True

    def _decrypt(self, buffer: memoryview | None) -> bytes | memoryview | None:
        """Return what all records that are complete have in them; None if none is, and none at the end."""
        if self._read_ahead:
            data, self._read_ahead = self._read_ahead, b""
            return data
        if self._has_ended:
            return b""
        if self._lost is not None:
            raise self._lost
        place = buffer or self._shared_buffer or memoryview(bytearray(RECEIVE_BYTES))
        filled = 0
        try:
            while filled < len(place):
                try:
                    # Into a buffer, it returns a number; typeshed knows only of bytes.
                    count = cast("int", self._object.read(len(place) - filled, place[filled:]))
                except ssl.SSLWantReadError:
                    if not self._feed_more():
                        break
                    continue
                if not count:
                    self._has_ended = True
                    break
                filled += count
                self._records_without_data = 0
        except ssl.SSLZeroReturnError:
            self._has_ended = True
        except ssl.SSLError as error:
            self._lost = loss_of(error)
        if self._to_peer.pending and not self._unsent:  # OpenSSL has replied by itself
            self._unsent = memoryview(self._to_peer.read())
            with contextlib.suppress(ConnectionLostError):  # the next send will see that
                self._accept(self.below.send_nowait(self._unsent))
        if self._to_peer.pending > _MOST_OWN_BYTES:
            self._lost = ConnectionLostError(
                "connection lost: the peer does not read what TLS itself replies"
            )
        if filled:
            return place[:filled]
        if self._lost is not None:
            raise self._lost
        return b"" if self._has_ended else None

    def _feed_more(self) -> bool:
        """Give OpenSSL the next of what was received; return whether there was anything.

        Little at a time: OpenSSL works through all that it has before it returns, and a peer may send
        nothing but updates of keys.
        """
        if self._records_without_data > _MOST_RECORDS_WITHOUT_DATA:
            self._encrypted = _NOTHING
            number = self._records_without_data
            self._lost = ConnectionLostError(f"connection lost: {number} TLS records had no data")
        piece, rest = self._encrypted[:_FEED_BYTES], self._encrypted[_FEED_BYTES:]
        self._encrypted = rest or _NOTHING
        if not piece:
            return False
        before = self._records.count
        self._records.follow(piece)
        self._records_without_data += self._records.count - before
        self._from_peer.write(piece)
        return True

    def receive_capacity(self) -> int:
        return self.below.receive_capacity() + SHARED_RECEIVE_BYTES

    # ---- sending ----

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Send as `Transport.send_nowait`; bytes that were encrypted and not accepted come first again."""
        view = memoryview(data)
        total = 0
        while total < len(view):
            if not self._unsent:
                self._encrypt(view[total:])
            accepted = self._accept(self.below.send_nowait(self._unsent))
            if self._unsent:
                break
            total += accepted
        return total

    async def send(self, data: bytes | memoryview) -> int:
        if not self._unsent:
            self._encrypt(memoryview(data))
        return self._accept(await self.below.send(self._unsent))

    def _encrypt(self, view: memoryview) -> None:
        piece = view[:STREAM_SEND_BYTES]
        if self._lost is not None:
            raise self._lost
        try:
            self._object.write(piece)
        except ssl.SSLError as error:
            raise loss_of(error) from error
        self._unsent = memoryview(self._to_peer.read())
        self._unsent_payload = len(piece)

    def _accept(self, count: int) -> int:
        """Note that so much of the records was accepted; return how many bytes of payload that completes."""
        self._unsent = self._unsent[count:] or _NOTHING
        if self._unsent:
            return 0
        accepted, self._unsent_payload = self._unsent_payload, 0
        return accepted

    async def _flush(self) -> None:
        """Send what OpenSSL wants to say to the peer by itself."""
        self._unsent = memoryview(b"".join((self._unsent, self._to_peer.read())))
        await trio.lowlevel.checkpoint()
        while self._unsent:
            self._accept(self.below.send_nowait(self._unsent))
            if self._unsent:
                self._accept(await self.below.send(self._unsent))

    @property
    def can_send_nowait(self) -> bool:
        return self.below.can_send_nowait

    # ---- ending ----

    @property
    def can_half_close(self) -> bool:
        return self.below.can_half_close

    async def send_eof(self) -> None:
        self._notify_close()
        await self._flush()
        await self.below.send_eof()

    def _notify_close(self) -> None:
        """Encrypt the end of this side's stream."""
        if not self._is_established or self._lost is not None:
            return
        # OpenSSL would refuse what lies before it, and could have been received afterwards.
        self._read_ahead = b"".join(iter(self._take_rest, b""))
        with contextlib.suppress(ssl.SSLError):  # the peer has not closed yet, or it was done before
            self._object.unwrap()

    def _take_rest(self) -> bytes:
        place = memoryview(bytearray(RECEIVE_BYTES))
        with contextlib.suppress(ConnectionLostError):  # raised when it is received
            return bytes(self._decrypt(place) or b"")
        return b""

    async def aclose(self) -> None:
        if not self._unsent:  # else the peer would take a part of a frame for the end
            self._notify_close()
            if records := self._to_peer.read():
                with contextlib.suppress(ConnectionLostError, trio.ClosedResourceError):
                    self.below.send_nowait(records)
        await self.below.aclose()

    async def abort(self) -> None:
        await self.below.abort()

"""TLS over the bytes of one connection: `TlsCodec` on a transport.

TLS has a half-close, although few clients use it: the ``close_notify`` of one side ends only what
this side sends. Here, the end of the socket's stream follows it, as on a plain connection.
A peer whose stream ends without it has ended all the same: between two frames that is an end, and
inside one an `IncompleteFrameError`. The lengths of frames show what was cut off, so that nobody in
between can pass a part off as the whole.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

import trio

from .tls_codec import RECORD_DATA_BYTES, SHARED_DECRYPT_BYTES, TlsCodec
from .tls_errors import TlsHandshakeError
from .transport import RECEIVE_BYTES, STREAM_SEND_BYTES, SocketTransport, Transport
from .trio_errors import ConnectionLostError

# What OpenSSL replies by itself takes some bytes; more waits only for a peer that does not read.
_MOST_OWN_BYTES = 1 << 12
# The end of a view would keep all that was before it.
_NOTHING = memoryview(b"")


class TlsTransport(Transport):
    """A connection under TLS; takes ownership of the one below.

    Before `shake_hands` has returned True, nothing may be sent or received, except to discard it.

    Attributes:
      below: whose bytes are encrypted.
      codec: what OpenSSL knows of the connection.
      shared_buffer: where to decrypt.

    Args:
      below: connected.
      context: of a server or a client.
      server_hostname: whose certificate the peer must have; None at the server's side.
      server_side: whether this is the server.
      shared_buffer: where to decrypt; all connections of a thread can share one, with those below, too.
    """

    __slots__ = ("_unsent", "_unsent_records", "below", "codec", "shared_buffer")

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
        self.codec: TlsCodec = TlsCodec(context, server_side=server_side, server_hostname=server_hostname)
        self.shared_buffer: memoryview | None = shared_buffer
        # Records that were encrypted and not accepted below; and for each the bytes of it that are left,
        # and of the data in it. Behind them may be what OpenSSL says by itself.
        self._unsent = _NOTHING
        self._unsent_records: Sequence[tuple[int, int]] = ()

    @property
    def has_received(self) -> bool:
        """Whether the peer has sent anything."""
        return self.codec.has_received

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
            self.codec.feed(raw)
        return True

    async def _advance(self) -> bool:
        try:
            is_done = self.codec.shake_hands()
        except TlsHandshakeError:
            with contextlib.suppress(ConnectionLostError):  # what has failed comes first
                await self._flush()
            raise
        await self._flush()
        return is_done

    # ---- receiving ----

    def receive_nowait(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        if not self.codec.is_established:
            return self.below.receive_nowait(buffer)
        while (data := self._decrypt(buffer)) is None:
            raw = self.below.receive_nowait()
            if raw is None:
                return None
            self.codec.feed(raw)
        return data

    async def receive(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        if not self.codec.is_established:
            return await self.below.receive(buffer)
        # No other task may run between decrypting and the return: all decrypt into the same buffer.
        await trio.lowlevel.checkpoint()
        data = self._decrypt(buffer)
        if data is not None:
            return data
        raw = await self.below.receive()
        if raw is None:
            return None
        self.codec.feed(raw)
        return self._decrypt(buffer)

    async def receive_arrived(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        return await self._receive_here(self.below.receive_arrived, buffer)

    async def look(self, buffer: memoryview | None = None) -> bytes | memoryview | None:
        return await self._receive_here(self.below.look, buffer)

    async def _receive_here(
        self, receive_below: Callable[[], Awaitable[bytes | memoryview | None]], buffer: memoryview | None
    ) -> bytes | memoryview | None:
        await trio.lowlevel.checkpoint()
        while (data := self._decrypt(buffer)) is None:
            raw = await receive_below()
            if raw is None:
                return None
            self.codec.feed(raw)
        return data

    def _decrypt(self, buffer: memoryview | None) -> bytes | memoryview | None:
        """Return what all records that are complete have in them; None if none is, and none at the end."""
        codec = self.codec
        place = buffer or self.shared_buffer or memoryview(bytearray(RECEIVE_BYTES))
        filled = codec.decrypt(place)
        if codec.pending_bytes:
            self.send_own()
        if filled:
            return place[:filled]
        if codec.lost is not None:
            raise codec.lost
        return b"" if codec.has_ended else None

    def send_own(self) -> None:
        """Send what OpenSSL has replied by itself, if the kernel has room."""
        codec = self.codec
        if not self._unsent:
            self._unsent = memoryview(codec.take_records())
            with contextlib.suppress(ConnectionLostError):  # the next send will see that
                self._accept(self.below.send_nowait(self._unsent))
        if codec.pending_bytes > _MOST_OWN_BYTES:
            codec.lost = ConnectionLostError(
                "connection lost: the peer does not read what TLS itself replies"
            )

    @property
    def is_inside_record(self) -> bool:
        return self.codec.is_inside_record

    # ---- in the turns of a reactor ----

    @property
    def plain_socket(self) -> socket.socket | None:
        """The socket below; None if there is none, and while something is here that no epoll reports."""
        below = self.below
        return below.socket if isinstance(below, SocketTransport) and not self.codec.may_have_more else None

    @property
    def has_unsent(self) -> bool:
        """Whether records wait for room."""
        return bool(self._unsent)

    def keep_unsent(self, records: Sequence[bytes], data_bytes: Sequence[int], accepted: int) -> int:
        """Send the rest of these records next; return how much data those have that were accepted whole.

        Args:
          records: at least one, of which not all was accepted.
          data_bytes: how much data each has.
          accepted: how many bytes of the records were.
        """
        self._keep_unsent(records, data_bytes)
        return self._accept(accepted)

    def _keep_unsent(self, records: Sequence[bytes], data_bytes: Sequence[int]) -> None:
        self._unsent = memoryview(b"".join(records))
        self._unsent_records = list(zip(map(len, records), data_bytes, strict=True))

    def translate_error(self, error: OSError) -> Exception:
        """Return what to raise for an error of the socket below."""
        return self.below.translate_error(error) if isinstance(self.below, SocketTransport) else error

    def receive_capacity(self) -> int:
        return self.below.receive_capacity() + SHARED_DECRYPT_BYTES

    # ---- sending ----

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Send as `Transport.send_nowait`; bytes that were encrypted and not accepted come first again."""
        view = memoryview(data)
        total = 0
        while total < len(view):
            if not self._unsent:
                self._encrypt(view[total:])
            total += self._accept(self.below.send_nowait(self._unsent))
            if self._unsent:
                break
        return total

    async def send(self, data: bytes | memoryview) -> int:
        if not self._unsent:
            self._encrypt(memoryview(data))
        return self._accept(await self.below.send(self._unsent))

    def _encrypt(self, view: memoryview) -> None:
        # One record at a time, or it would not be known where they end: what the peer can decrypt counts.
        pieces = cut_for_records(view[:STREAM_SEND_BYTES])
        self._keep_unsent(list(map(self.codec.encrypt, pieces)), list(map(len, pieces)))

    def _accept(self, count: int) -> int:
        """Note that so much of the records was accepted; return how many bytes of data that completes."""
        self._unsent = self._unsent[count:] or _NOTHING
        accepted = 0
        for number, (size, data_bytes) in enumerate(self._unsent_records):
            if count < size:
                self._unsent_records = [(size - count, data_bytes), *self._unsent_records[number + 1 :]]
                return accepted
            count -= size
            accepted += data_bytes
        self._unsent_records = ()
        return accepted

    async def _flush(self) -> None:
        """Send what OpenSSL wants to say to the peer by itself."""
        self._unsent = memoryview(b"".join((self._unsent, self.codec.take_records())))
        await trio.lowlevel.checkpoint()
        while self._unsent:
            self._accept(self.below.send_nowait(self._unsent))
            if self._unsent:
                self._accept(await self.below.send(self._unsent))

    @property
    def can_send_nowait(self) -> bool:
        return self.below.can_send_nowait

    # ---- ending ----

    def count_untaken(self) -> int:
        return len(self._unsent) + self.below.count_untaken()

    @property
    def can_half_close(self) -> bool:
        return self.below.can_half_close

    async def send_eof(self) -> None:
        self.codec.end()
        await self._flush()
        await self.below.send_eof()

    async def aclose(self) -> None:
        if not self._unsent:  # else the peer would take a part of a frame for the end
            self.codec.end()
            if records := self.codec.take_records():
                with contextlib.suppress(ConnectionLostError, trio.ClosedResourceError):
                    self.below.send_nowait(records)
        await self.below.aclose()

    async def abort(self) -> None:
        await self.below.abort()


def cut_for_records(view: memoryview) -> list[memoryview]:
    """Return pieces that have room in one record each."""
    return [view[at : at + RECORD_DATA_BYTES] for at in range(0, len(view), RECORD_DATA_BYTES)]

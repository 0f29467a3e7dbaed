"""One end of TLS without a socket: bytes of the connection in, bytes of the user out, and back.

OpenSSL works in memory here: what is received is put into one buffer, what is to be sent is
taken from another. So, other than with a stream, all records that have come are decrypted in one pass,
all frames of a send are encrypted in one, and it is known what has arrived.
"""

from __future__ import annotations

import contextlib
import math
import ssl
from collections.abc import Callable
from typing import Final, cast

from .tls_errors import handshake_error, loss_of
from .tls_records import RecordScanner
from .transport import RECEIVE_BYTES, SHARED_RECEIVE_BYTES
from .trio_errors import ConnectionLostError

# RFC 8446, section 5.2. OpenSSL is given so much at a time: a long record, or some short ones.
LONGEST_RECORD_BYTES: Final = 5 + (1 << 14) + 256
_FEED_RECORDS = 32
# A buffer with room for as much data as a plain receive takes: besides what makes records of it, a part of
# one may be here from before. Then four frames of 64 KiB come at once (`scripts/bench tls`).
SHARED_DECRYPT_BYTES: Final = SHARED_RECEIVE_BYTES + 2 * LONGEST_RECORD_BYTES
# How much data one record has at most (RFC 8446, section 5.1).
RECORD_DATA_BYTES = 1 << 14
# A peer changes its keys once in gigabytes, and a server sends some tickets after the handshake. In a
# row, BoringSSL takes as many, and Go's crypto/tls 16. New keys take OpenSSL several times as long as a
# record with data, so it is a bound of a pass, too.
_MOST_RECORDS_WITHOUT_DATA = 32
# Of a record: its header, the type that data has, and the least that one with data has.
_HEADER_BYTES, _DATA, _LEAST_DATA = 5, 0x17, 6
# The end of a view would keep all that was before it.
_NOTHING = memoryview(b"")
# How much of what came first is kept, to see what it is if it is no TLS.
_FIRST_BYTES = 64


class TlsCodec:
    """The state of one connection under TLS; who owns the socket moves the bytes.

    Attributes:
      has_received: whether the peer has sent anything.
      is_established: whether the handshake is done.
      has_ended: whether the peer has ended its stream.
      lost: why the connection is lost; None if it is not.
      may_have_more: whether `decrypt` may return something although nothing more was received.

    Args:
      context: of a server or a client.
      server_side: whether this is the server.
      server_hostname: whose certificate the peer must have; None at the server's side.
      session: of an earlier connection, to be resumed by a client; None for a new one.

    Raises:
      ValueError: the name cannot be one. An `ssl.SSLError` says the same.
    """

    __slots__ = (
        "_encrypted",
        "_first_bytes",
        "_from_peer",
        "_most_without_data",
        "_object",
        "_read_ahead",
        "_records",
        "_records_without_data",
        "_to_peer",
        "has_ended",
        "has_received",
        "is_established",
        "lost",
        "may_have_more",
    )

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.has_received: bool = False
        self.is_established: bool = False
        self.has_ended: bool = False
        self.lost: ConnectionLostError | None = None
        self.may_have_more: bool = True  # what came with the end of the handshake
        self._from_peer = ssl.MemoryBIO()
        self._to_peer = ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._from_peer,
            self._to_peer,
            server_side=server_side,
            server_hostname=server_hostname,
            session=session,
        )
        self._first_bytes = b""
        # What was received, and OpenSSL has not got yet.
        self._encrypted = _NOTHING
        self._records_without_data = 0
        # In a pass. A client has nobody else to serve, and takes all that is here.
        self._most_without_data = float(_MOST_RECORDS_WITHOUT_DATA) if server_side else math.inf
        self._read_ahead = b""
        self._records = RecordScanner()

    @property
    def object(self) -> ssl.SSLObject:
        """What says which version, cipher and protocol were agreed on."""
        return self._object

    def shake_hands(self) -> bool:
        """Take the next step of the handshake, and return whether it is done.

        Whether it is or not, what `take_records` returns is to be sent; also when it has failed.

        Raises:
          TlsHandshakeError: it has failed.
        """
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise handshake_error(error, self._first_bytes) from error
        self.is_established = True
        self._first_bytes = b""
        # What came behind the handshake: OpenSSL takes no more of it at a time than of what comes later.
        self._encrypted = memoryview(self._from_peer.read()) or _NOTHING
        return True

    # ---- what the peer sends ----

    def feed(self, raw: bytes | memoryview) -> None:
        """Take what was received; nothing is the end of the peer's stream."""
        if not raw:
            self._note_end_below()
            return
        if not self.is_established and len(self._first_bytes) < _FIRST_BYTES:
            self._first_bytes += bytes(raw[:_FIRST_BYTES])
        self.has_received = True
        if self.is_established:
            self._keep(raw)
        else:
            self._from_peer.write(raw)

    def _keep(self, raw: bytes | memoryview) -> None:
        self._encrypted = memoryview(b"".join((self._encrypted, raw)))

    def _note_end_below(self) -> None:
        if not self.is_established:
            self._from_peer.write_eof()
        elif self._records.is_inside_one:
            self.lost = ConnectionLostError("connection lost: the peer ended inside a TLS record")
        else:  # OpenSSL need not know; it would take it for an attack, and send nothing any more
            self.has_ended = True

    @property
    def is_inside_record(self) -> bool:
        """Whether the last record has come in part, or something was not looked at yet."""
        return self._records.is_inside_one or bool(self._encrypted)

    def decrypt_received(self, raw: memoryview, place: memoryview) -> int:
        """Do `feed` and `decrypt` in one, without a copy of what was received (`scripts/bench tls`).

        Args:
          raw: what was received. It may lie in ``place`` itself, from `LONGEST_RECORD_BYTES` on: no more
            than a part of a record is here from before, so data never reaches what is not decrypted yet.
          place: where to decrypt. It is longer than what was received by at least as much.
        """
        if not raw or self.may_have_more or self._encrypted or not self.is_established:
            self.feed(raw)
            return self.decrypt(place)
        self._encrypted = raw
        count = self.decrypt(place)
        if self._encrypted:  # behind the end, or what was wrong, or for the next pass
            self._encrypted = memoryview(bytes(self._encrypted))
        return count

    def decrypt(self, place: memoryview) -> int:
        """Decrypt what has come into this place, and return how many bytes that were.

        If there are none, `has_ended` and `lost` say whether others can come. OpenSSL may have
        replied by itself: see `pending_bytes`.
        """
        if self._read_ahead:
            data, self._read_ahead = self._read_ahead[: len(place)], self._read_ahead[len(place) :]
            place[: len(data)] = data
            self.may_have_more = True
            return len(data)
        filled, room, records_with_data = 0, len(place), 0
        most_records = self._records.count + self._most_without_data
        if self.has_ended or self.lost is not None:
            return 0
        # Into a buffer, it returns a number; typeshed knows only of bytes.
        read = cast("Callable[[int, memoryview], int]", self._object.read)
        from_peer = self._from_peer
        has_some = bool(from_peer.pending or self._object.pending())
        try:
            while filled < room:
                # To learn from an exception that OpenSSL has nothing left takes longer (`scripts/bench tls`).
                if not has_some:
                    if filled and self._records.count - records_with_data > most_records:
                        break  # others come first
                    if not self._feed_more():
                        break
                try:
                    count = read(room - filled, place[filled:])
                except ssl.SSLWantReadError:
                    has_some = False
                    continue
                if not count:
                    self.has_ended = True
                    break
                filled += count
                records_with_data += 1
                self._records_without_data = 0
                has_some = from_peer.pending > 0
        except ssl.SSLZeroReturnError:
            self.has_ended = True
        except ssl.SSLError as error:
            self.lost = loss_of(error)
        self.may_have_more = filled == len(place) or bool(
            filled and (self.has_ended or self.lost is not None or self._encrypted)
        )
        return filled

    def decrypt_record(self, raw: bytes) -> bytes | None:
        """Return what is in bytes that were received, if they are one whole record with data, in few steps.

        Returns:
          None if they are something else: then they are for `feed`. No bytes if the record has none.
        """
        if (
            len(raw) < _LEAST_DATA
            or raw[0] != _DATA
            or (raw[3] << 8) + raw[4] != len(raw) - _HEADER_BYTES
            or self.may_have_more
            or self._encrypted
            or self._records.is_inside_one
            or self.has_ended
            or self.lost is not None
        ):
            return None
        self._from_peer.write(raw)
        records = self._records
        records.count += 1
        self._records_without_data += 1
        try:
            data = self._object.read(len(raw))
        except ssl.SSLWantReadError:
            if self._records_without_data > _MOST_RECORDS_WITHOUT_DATA:
                self._lose_without_data()
            return b""
        except ssl.SSLZeroReturnError:
            data = b""
        except ssl.SSLError as error:
            self.lost = loss_of(error)
            return b""
        if data:
            self._records_without_data = 0
        else:
            self.has_ended = True
        return data

    def _feed_more(self) -> bool:
        """Give OpenSSL the next of what was received; return whether there was anything.

        Little at a time: OpenSSL works through all that it has before it returns, and a peer may send
        nothing but updates of keys.
        """
        if self._records_without_data > _MOST_RECORDS_WITHOUT_DATA:
            self._lose_without_data()
        encrypted = self._encrypted
        if not encrypted:
            return False
        before = self._records.count
        count = self._records.follow(encrypted, LONGEST_RECORD_BYTES, _FEED_RECORDS)
        self._records_without_data += self._records.count - before
        self._from_peer.write(encrypted[:count])
        self._encrypted = encrypted[count:] if count < len(encrypted) else _NOTHING
        return True

    def _lose_without_data(self) -> None:
        self._encrypted = _NOTHING
        number = self._records_without_data
        self.lost = ConnectionLostError(f"connection lost: {number} TLS records had no data")

    # ---- what is sent to it ----

    @property
    def pending_bytes(self) -> int:
        """How many bytes of records `take_records` would return."""
        return self._to_peer.pending

    def take_records(self) -> bytes:
        """Return the records that are to be sent."""
        return self._to_peer.read()

    def encrypt(self, data: bytes | memoryview) -> bytes:
        """Return the records of these bytes, behind those that OpenSSL sends by itself.

        Raises:
          ConnectionLostError: the connection is lost.
        """
        if self.lost is not None:
            raise self.lost
        try:
            self._object.write(data)
        except ssl.SSLError as error:
            raise loss_of(error) from error
        return self._to_peer.read()

    def end(self) -> None:
        """End this side's stream: what `take_records` then returns says so to the peer."""
        if not self.is_established or self.lost is not None:
            return
        # OpenSSL would refuse what lies before it, and could have been received afterwards.
        self._read_ahead = b"".join(iter(self._take_rest, b""))
        self.may_have_more = bool(self._read_ahead) or self.has_ended or self.lost is not None
        with contextlib.suppress(ssl.SSLError):  # the peer has not closed yet, or it was done before
            self._object.unwrap()

    def _take_rest(self) -> bytes:
        place = memoryview(bytearray(RECEIVE_BYTES))
        return bytes(place[: self.decrypt(place)])

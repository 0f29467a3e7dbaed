"""A connection under TLS in the turns of a reactor: as a plain socket, of which an epoll says all.

An epoll knows only of the socket. So all that has come is decrypted, whatever it is: nothing may be left
behind that nobody would look at. What is left all the same, such as the end of the stream behind the
last data, is for the connection's task, which is woken for it.

All connections decrypt into one buffer. It is taken out, or handed over, before the next one receives.
"""

from __future__ import annotations

import socket
from typing import Protocol

from .tls_codec import LONGEST_RECORD_BYTES, RECORD_DATA_BYTES, SHARED_DECRYPT_BYTES
from .tls_transport import TlsTransport, cut_for_records

# A record that has come in part before adds to what is received; a smaller buffer has no room for much
# beside that.
_LEAST_BUFFER_BYTES = 4 * LONGEST_RECORD_BYTES
# So much may be encrypted for a client that does not read.
_SENT_AT_ONCE_BYTES = 1 << 18
_NOTHING = memoryview(b"")


class TlsOwner(Protocol):
    """Who receives: a registration."""

    def wake(self) -> None:
        """Wake the connection's task: more is here than was received."""

    def note_cut(self) -> None:
        """Compare what the exchange knows of a record that has come in part, after this receive."""


class TlsInTurn:
    """Receives and sends for a reactor; nothing here waits.

    Args:
      transport: the connection's.
      connection: the socket below it.
      owner: who receives.
    """

    __slots__ = ("_codec", "_owner", "_receive", "_receive_into", "_send", "_sendmsg", "_transport")

    def __init__(self, transport: TlsTransport, connection: socket.socket, owner: TlsOwner) -> None:
        self._transport = transport
        self._codec = transport.codec
        self._owner = owner
        self._receive = connection.recv
        self._receive_into = connection.recv_into
        self._send = connection.send
        self._sendmsg = connection.sendmsg

    def receive(self, most: int) -> bytes:
        """Receive what is likely to be small, as `socket.socket.recv` does; it may be more than that.

        Raises:
          BlockingIOError: nothing has come.
          ConnectionLostError: the connection is lost.
          OSError: likewise.
        """
        self._leave_what_is_here()
        raw = self._receive(most)
        data = self._codec.decrypt_record(raw)
        if data:
            return data
        if data is None:
            self._codec.feed(raw)
            return bytes(self._decrypt(self._place()))
        return bytes(self._after_decrypting(_NOTHING))

    def receive_large(self, buffer: memoryview | None) -> memoryview:
        """Receive what is likely to be large: into this buffer if it has room, else into the shared one.

        Raises:
          As `receive`.
        """
        self._leave_what_is_here()
        place = shared = self._place()
        if buffer is not None and len(buffer) >= _LEAST_BUFFER_BYTES:
            place = buffer
        # What is decrypted lies before what is not, and needs no more room.
        room = shared[LONGEST_RECORD_BYTES:]
        count = self._receive_into(room, min(len(room), len(place) - LONGEST_RECORD_BYTES))
        return self._after_decrypting(place[: self._codec.decrypt_received(room[:count], place)])

    def _leave_what_is_here(self) -> None:
        """Receive no more before the connection's task, which is woken, has taken what was left."""
        if self._codec.may_have_more:
            raise BlockingIOError

    def _place(self) -> memoryview:
        return self._transport.shared_buffer or memoryview(bytearray(SHARED_DECRYPT_BYTES))

    def _decrypt(self, place: memoryview) -> memoryview:
        return self._after_decrypting(place[: self._codec.decrypt(place)])

    def _after_decrypting(self, data: memoryview) -> memoryview:
        codec = self._codec
        self._owner.note_cut()
        if codec.pending_bytes:
            self._transport.send_own()
        if data:
            if codec.may_have_more or codec.lost is not None:
                self._owner.wake()
            return data
        if codec.lost is not None:
            raise codec.lost
        if not codec.has_ended:
            raise BlockingIOError
        return data

    def send(self, data: bytes | memoryview) -> int:
        """Send as `TlsTransport.send_nowait`, in fewer steps where the kernel takes all at once.

        Raises:
          ConnectionLostError: the connection is lost.
          OSError: likewise.
        """
        transport, size = self._transport, len(data)
        if transport.has_unsent:
            return transport.send_nowait(data)
        if size > RECORD_DATA_BYTES:
            return self._send_large(memoryview(data))
        record = self._codec.encrypt(data)
        try:
            accepted = self._send(record)
        except BlockingIOError:
            accepted = 0
        if accepted == len(record):
            return size
        return transport.keep_unsent([record], [size], accepted)

    def _send_large(self, view: memoryview) -> int:
        """Send as `send`, many records with one call of the kernel, in which the client is woken.

        ``scripts/bench tls`` measures what that saves.
        """
        for start in range(0, len(view), _SENT_AT_ONCE_BYTES):
            pieces = cut_for_records(view[start : start + _SENT_AT_ONCE_BYTES])
            records = list(map(self._codec.encrypt, pieces))
            try:
                accepted = self._sendmsg(records)
            except BlockingIOError:
                accepted = 0
            if accepted < sum(map(len, records)):
                return start + self._transport.keep_unsent(records, list(map(len, pieces)), accepted)
        return len(view)

"""A connection under TLS in the turns of a reactor: as a plain socket, of which an epoll says all.

An epoll knows only of the socket. So all that has come is decrypted, whatever it is: nothing may be left
behind that nobody would look at. What is left all the same, such as the end of the stream behind the
last data, is for the connection's task, which is woken for it.

All connections decrypt into one buffer. It is taken out, or handed over, before the next one receives.
"""

from __future__ import annotations

import socket
from typing import Protocol

from .tls_codec import RECORD_DATA_BYTES
from .tls_transport import TlsTransport
from .transport import SHARED_RECEIVE_BYTES

# What one record may add to what is received: one that has come in part before (RFC 8446, section 5.2).
_RECORD_BYTES = 5 + (1 << 14) + 256
# A smaller buffer has no room for much beside that.
_LEAST_BUFFER_BYTES = 4 * _RECORD_BYTES
_NOTHING = memoryview(b"")


class Owner(Protocol):
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

    __slots__ = ("_codec", "_owner", "_receive", "_receive_into", "_send", "_transport")

    def __init__(self, transport: TlsTransport, connection: socket.socket, owner: Owner) -> None:
        self._transport = transport
        self._codec = transport.codec
        self._owner = owner
        self._receive = connection.recv
        self._receive_into = connection.recv_into
        self._send = connection.send

    def receive(self, most: int) -> bytes:
        """Receive what is likely to be small, as `socket.socket.recv` does; it may be more than that.

        Raises:
          BlockingIOError: nothing has come.
          ConnectionLostError: the connection is lost.
          OSError: likewise.
        """
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
        place = shared = self._place()
        if buffer is not None and len(buffer) >= _LEAST_BUFFER_BYTES:
            place = buffer
        count = self._receive_into(shared, min(len(shared), len(place)) - _RECORD_BYTES)
        self._codec.feed(shared[:count])
        return self._decrypt(place)

    def _place(self) -> memoryview:
        return self._transport.shared_buffer or memoryview(bytearray(SHARED_RECEIVE_BYTES))

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
        if transport.has_unsent or size > RECORD_DATA_BYTES:
            return transport.send_nowait(data)
        record = self._codec.encrypt(data)
        try:
            accepted = self._send(record)
        except BlockingIOError:
            accepted = 0
        if accepted == len(record):
            return size
        transport.keep_unsent(record[accepted:], size)
        return 0

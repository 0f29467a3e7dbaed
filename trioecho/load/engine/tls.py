"""The connections of a load under TLS: sockets as the engine wants them, and what their handshakes took.

A socket under TLS behaves as a plain one: what it has received it gives whole, so that nothing
is left behind that a poller could not see; and what it has accepted it sends, as soon as there is room.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from typing import NoReturn

import trio

from ...base.client_tls import ClientTls
from ...base.endpoint import tls_name
from ...base.tls_reasons import SAYS_NOTHING, TlsProblem
from ...client.tls_hints import why_not_accepted
from ...connection.tls_codec import TlsCodec
from ...connection.tls_errors import ClientCertificateError, TlsHandshakeError
from ...connection.trio_errors import ConnectionLostError
from ..results.tls_result import Agreement, TlsResult

# What is encrypted at a time, and waits for room if the kernel takes a part of it: four records.
_PIECE_BYTES = 1 << 16
# What one record can have beside and before what is received next: all that is decrypted then is
# not larger than what may be received, and nothing stays behind.
_RECORD_BYTES = (1 << 14) + 256 + 5
_NOTHING = memoryview(b"")


class TlsConnector:
    """Puts the connections of a load under TLS.

    Attributes:
      result: what was measured and agreed on.
      refusal: what the server has against this client's certificate, in words; None for nothing.

    Args:
      tls: what is demanded and shown.
      host: the server's, whose name the certificate has to have if no other one is given.
      clock: ns.

    Raises:
      TlsFilesError: a file cannot be used.
      ValueError: no certificate can have that name.
    """

    def __init__(self, tls: ClientTls, host: str, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self.result: TlsResult = TlsResult()
        self.refusal: str | None = None
        self.clock = clock
        self._context = tls.context()
        self._server_hostname = tls.servername or tls_name(host)
        self._resumes = tls.resume
        self._session: ssl.SSLSession | None = None
        # All sockets decrypt into the same place, from which it is taken at once.
        self.received: memoryview = memoryview(bytearray(1 << 18))
        self.decrypted: memoryview = memoryview(bytearray(1 << 18))
        self.codec()  # finds out whether the name can be one

    def codec(self) -> TlsCodec:
        """Return the state of a new connection."""
        try:
            return TlsCodec(
                self._context,
                server_side=False,
                server_hostname=self._server_hostname,
                session=self._session,
            )
        except (ValueError, ssl.SSLError) as error:
            raise ValueError(f"servername cannot be {self._server_hostname!r}: {error}") from error

    def wrap(self, plain: socket.socket) -> TlsSocket:
        """Return a connected socket under TLS, before its handshake."""
        return TlsSocket(plain, self)

    def note_handshake(self, codec: TlsCodec, took_ns: int) -> None:
        """Count a handshake."""
        connection = codec.object
        self.result.handshake_ns.record(took_ns)
        if connection.session_reused:
            self.result.resumed += 1
        cipher = connection.cipher()
        agreement = Agreement(
            connection.version() or "", cipher[0] if cipher else "", connection.selected_alpn_protocol()
        )
        self.result.agreements[agreement] += 1

    def keep_session(self, codec: TlsCodec) -> None:
        """Keep what a later connection can resume, if this load does that."""
        if not self._resumes:
            return
        connection = codec.object
        session = connection.session
        # With TLS 1.3 there is none to resume before the server has sent a ticket.
        if session is not None and (session.has_ticket or connection.version() != "TLSv1.3"):
            self._session = session


class TlsSocket:
    """A non-blocking socket under TLS, as the engine's `Socket`; see above.

    Attributes:
      is_blocked: whether it waits for room to send.
    """

    def __init__(self, plain: socket.socket, connector: TlsConnector) -> None:
        self._plain = plain
        self._connector = connector
        self._codec = connector.codec()
        self._began = connector.clock()
        # Records that were encrypted, and the kernel has not taken yet.
        self._rest = _NOTHING
        # Whether the last byte of what was encrypted counts only when the kernel has all of it.
        self._holds_back = False
        # Whether OpenSSL may have something already, of what came with the end of the handshake, too.
        self._may_have_more = True

    @property
    def is_blocked(self) -> bool:
        """See above."""
        return bool(self._rest)

    @property
    def plain(self) -> socket.socket:
        """The socket below TLS."""
        return self._plain

    def fileno(self) -> int:
        """Return the descriptor, to wait for."""
        return self._plain.fileno()

    def shake_hands(self) -> bool:
        """Go on with the handshake as far as that is possible now, and return whether it is done.

        Raises:
          OSError: it has failed; by a `TlsHandshakeError`, or the connection is lost.
        """
        codec = self._codec
        received = self._connector.received
        while True:
            try:
                is_done = codec.shake_hands()
            except TlsHandshakeError as error:
                with contextlib.suppress(OSError):  # what has failed comes first
                    self._send_own()
                raise ConnectionAbortedError(str(error)) from error
            self._send_own()
            if is_done:
                self._connector.note_handshake(codec, self._connector.clock() - self._began)
                return True
            try:
                count = self._plain.recv_into(received)
            except BlockingIOError:
                return False
            if not count and not codec.has_received:
                failure = TlsHandshakeError(SAYS_NOTHING, TlsProblem.NO_TLS)
                raise ConnectionAbortedError(SAYS_NOTHING) from failure
            codec.feed(received[:count])

    # ---- receiving ----

    def recv(self, most: int, /) -> bytes:
        """Receive, as `socket.socket.recv` does."""
        place = self._connector.decrypted[:most]
        return bytes(place[: self.recv_into(place)])

    def recv_into(self, buffer: memoryview, /) -> int:
        """Receive, as `socket.socket.recv_into` does."""
        codec = self._codec
        count = self._decrypt(buffer) if self._may_have_more else 0
        if count or codec.has_ended:
            return count
        self._may_have_more = False
        received = self._connector.received
        most = len(buffer) - _RECORD_BYTES
        if most <= 0:  # who wants so little looks again by itself
            most = len(buffer)
            self._may_have_more = True
        codec.feed(received[: self._plain.recv_into(received, most)])
        count = self._decrypt(buffer)
        if not count and not codec.has_ended:
            raise BlockingIOError
        return count

    def _decrypt(self, buffer: memoryview) -> int:
        codec = self._codec
        count = codec.decrypt(buffer)
        if codec.pending_bytes:
            self._send_own()
        if not count and codec.lost is not None:
            self._fail(codec.lost)
        return count

    # ---- sending ----

    def send(self, data: bytes | memoryview, /) -> int:
        """Send, as `socket.socket.send` does: the bytes that it returns are sent, and none beyond them.

        Except for one: while the kernel has not taken all records, the last byte of them is not counted,
        so that the caller comes back with it.
        """
        try:
            return self._send(memoryview(data))
        except BlockingIOError:
            raise
        except OSError:
            self._look_for_reason()
            raise

    def _send(self, view: memoryview) -> int:
        self._flush()
        if self._rest:
            raise BlockingIOError
        done = int(self._holds_back)
        self._holds_back = False
        while done < len(view):
            piece = view[done : done + _PIECE_BYTES]
            try:
                self._rest = memoryview(self._codec.encrypt(piece))
            except ConnectionLostError as error:
                self._fail(error)
            done += len(piece)
            self._flush()
            if self._rest:
                self._holds_back = True
                return done - 1
        return done

    def _flush(self) -> None:
        """Give the kernel what waits for room."""
        while self._rest:
            try:
                self._rest = self._rest[self._plain.send(self._rest) :]
            except BlockingIOError:
                return
        self._rest = _NOTHING  # the end of a view would keep all that was before it

    def _send_own(self) -> None:
        """Send what OpenSSL says by itself."""
        if self._codec.pending_bytes:
            self._rest = memoryview(b"".join((self._rest, self._codec.take_records())))
            self._flush()

    # ---- ending ----

    def shutdown(self, how: int, /) -> None:
        """End this side's stream: first that of TLS, then that of the socket."""
        self._connector.keep_session(self._codec)
        self._codec.end()
        self._may_have_more = True  # what had been received before the end
        with contextlib.suppress(OSError):
            self._send_own()
        self._plain.shutdown(how)

    def close(self) -> None:
        """Close it."""
        self._connector.keep_session(self._codec)
        self._plain.close()

    def _look_for_reason(self) -> None:
        """Find out whether the server has said why it does not take what is sent any more."""
        with contextlib.suppress(OSError):
            while self.recv_into(self._connector.decrypted):
                pass

    def _fail(self, error: ConnectionLostError) -> NoReturn:
        if isinstance(error, ClientCertificateError):
            self._connector.refusal = why_not_accepted(error)
        raise ConnectionAbortedError(str(error).removeprefix("connection lost: ")) from error


class WaitingTlsSocket:
    """The same for a task that waits by Trio.

    Args:
      connection: which.
      waited_for: the socket to wait for; it may be a second descriptor of the same.
    """

    def __init__(self, connection: TlsSocket, waited_for: socket.socket) -> None:
        self._connection = connection
        self._waited_for = waited_for

    async def shake_hands(self) -> None:
        """Shake hands; if it is cancelled, the connection is of no further use.

        Raises:
          OSError: as `TlsSocket.shake_hands`.
        """
        await trio.lowlevel.checkpoint()
        while not self._connection.shake_hands():
            await self._wait()

    async def send(self, data: bytes | memoryview) -> int:
        """Send, as a socket of Trio does."""
        await trio.lowlevel.checkpoint()
        while True:
            try:
                return self._connection.send(data)
            except BlockingIOError:
                await self._wait()

    async def recv(self, most: int) -> bytes:
        """Receive, as a socket of Trio does."""
        await trio.lowlevel.checkpoint()
        while True:
            try:
                return self._connection.recv(most)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._waited_for)

    async def _wait(self) -> None:
        if self._connection.is_blocked:
            await trio.lowlevel.wait_writable(self._waited_for)
        else:
            await trio.lowlevel.wait_readable(self._waited_for)

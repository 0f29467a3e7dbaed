"""A connected socket under TLS, with the suite's own hands on OpenSSL.

It behaves as a `PeerSocket`: what was sent is on its way when it counts as sent, except for one byte of
a record that the system took in part, so that the caller comes back with it. A piece is a record
of its own, or several; so a stream that is sent byte by byte has a byte in a record.

With OpenSSL, a handshake needs both directions. It is made when the connection is opened. A server that does
not take part then, because it serves one connection at a time, gets it when something is sent or received.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from ...base.describe import describe
from ...base.tls_reasons import (
    FIRST_OF_TLS,
    OF_CERTIFICATES,
    REASONS,
    REQUIRES_CERTIFICATE,
    SAYS_NOTHING,
    TlsProblem,
    certificate_refusal,
    handshake_reason,
    with_hint,
)
from .finding import Deviation, Kind
from .peer_socket import PeerSocket
from .tls_client import TlsClient

_RECORD_BYTES = 1 << 14
_RECEIVE_BYTES = 1 << 18
# Longest wait for a handshake where a connection is used.
_HANDSHAKE_S = 8.0

T = TypeVar("T")


class HandshakeFailedError(OSError):
    """There is no connection under TLS; the message says why, and what to do.

    Attributes:
      kind (Kind): how that looks where the server is known to speak TLS.
    """

    def __init__(self, reason: str, kind: Kind) -> None:
        super().__init__(reason)
        self.kind = kind


class CertificateRefusalError(OSError):
    """The server wants a certificate, or another one; with TLS 1.3 it says so after the handshake."""


class TlsPeerSocket(PeerSocket):
    """A connected socket under TLS; see above.

    Attributes:
      agreed (str): what was agreed on, in words; empty before the handshake is done.
    """

    def __init__(self, sock: trio.socket.SocketType, tls: TlsClient) -> None:
        super().__init__(sock)
        self.agreed: str = ""
        self._tls = tls
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = tls.wrap(self._incoming, self._outgoing)
        self._handshake = trio.Lock()
        self._failure: HandshakeFailedError | None = None
        self._first_bytes = b""
        self._rest = b""  # records that the system has not taken yet
        self._holds_back = False
        self._is_sending = False
        self._decrypted = b""
        self._has_ended = False
        self._may_say_end = True

    # ---- the handshake ----

    async def shake_hands(self, within_s: float = _HANDSHAKE_S) -> bool:
        """Make the handshake, if it is not done; return whether it is done by now.

        Raises:
          HandshakeFailedError: it has failed, now or before.
          OSError: the connection has ended.
        """
        if self.agreed:
            return True
        with trio.move_on_after(within_s):
            async with self._handshake:
                while not self._advance():
                    await self._wait_for_news()
        return bool(self.agreed)

    def _advance(self) -> bool:
        """Take the steps of the handshake that are possible now, and return whether it is done."""
        if self._failure is not None:
            raise self._failure
        try:
            while True:
                try:
                    self._object.do_handshake()
                except ssl.SSLWantReadError:
                    self._send_own()
                    if not self._feed():
                        raise HandshakeFailedError(*self._why_ended()) from None
                    continue
                self._send_own()
                self.agreed = self._tls.note(self._object)
                return True
        except BlockingIOError:
            return False
        except ssl.SSLError as error:
            self._send_own()
            self._failure = HandshakeFailedError(self._why_failed(error), Kind.NO_CONNECTION)
            raise self._failure from None
        except ConnectionError as error:
            self._failure = HandshakeFailedError(f"the handshake of TLS: {describe(error)}", Kind.RESET)
            raise self._failure from None
        except HandshakeFailedError as error:
            self._failure = error
            raise

    def _why_ended(self) -> tuple[str, Kind]:
        if not self._first_bytes:
            return with_hint(SAYS_NOTHING, TlsProblem.NO_TLS), Kind.END
        return "the server ended the connection in the middle of the handshake of TLS", Kind.END

    def _why_failed(self, error: ssl.SSLError) -> str:
        first = self._first_bytes
        if first and first[0] not in FIRST_OF_TLS:
            seen = first[:16].hex(" ")
            return with_hint(f"the server speaks no TLS: it begins with {seen}", TlsProblem.NO_TLS)
        reason, problem = handshake_reason(error)
        return with_hint(reason.replace("the peer's", "the server's"), problem)

    async def _wait_for_news(self) -> None:
        if self._rest:
            await trio.lowlevel.wait_writable(self._sock)
        else:
            await trio.lowlevel.wait_readable(self._sock)

    # ---- what a peer socket does ----

    async def _call(self, call: Callable[[], T], wait: Callable[[socket.socket], Awaitable[None]]) -> T:
        if not await self.shake_hands():
            raise HandshakeFailedError(
                f"the handshake of TLS was not done after {_HANDSHAKE_S:g} s", Kind.SILENCE
            )
        is_sending = wait is trio.lowlevel.wait_writable
        self._is_sending |= is_sending
        try:
            return await super()._call(call, wait if is_sending else self._wait_to_receive)
        finally:
            self._is_sending &= not is_sending

    async def _wait_to_receive(self, sock: socket.socket) -> None:
        """Wait for more to come; meanwhile, what was sent in part goes on its way."""
        if not self._rest or self._is_sending:
            await trio.lowlevel.wait_readable(sock)
            return
        async with trio.open_nursery() as nursery:

            async def flush() -> None:
                while self._rest and not self._is_sending:
                    await trio.lowlevel.wait_writable(sock)
                    with contextlib.suppress(OSError):
                        self._flush()
                await trio.sleep_forever()

            nursery.start_soon(flush)
            await trio.lowlevel.wait_readable(sock)
            nursery.cancel_scope.cancel()

    def _send_now(self, data: bytes | memoryview) -> int:
        self._flush()
        if self._rest:
            raise BlockingIOError
        begin, self._holds_back = int(self._holds_back), False
        piece = memoryview(data)[begin : begin + _RECORD_BYTES]
        if piece:
            try:
                self._object.write(piece)
            except ssl.SSLError as error:
                raise _as_os_error(error) from None
            self._rest = self._outgoing.read()
            self._flush()
            self._holds_back = bool(self._rest)
        self._note_sent()
        return begin + len(piece) - self._holds_back

    def _receive_now(self, most: int) -> bytes:
        while not self._decrypted and not self._has_ended:
            if not self._decrypt():  # an end without a close_notify: lengths show whether anything is missing
                self._has_ended = not self._feed()
        data, self._decrypted = self._decrypted[:most], self._decrypted[most:]
        return data

    def _decrypt(self) -> bool:
        """Decrypt what has come; return whether there was anything, or the end.

        Raises:
          OSError: what has come is no TLS, or says that the connection is over.
        """
        pieces = []
        try:
            while piece := self._object.read(_RECEIVE_BYTES):
                pieces.append(piece)
            self._has_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._has_ended = True
        except ssl.SSLError as error:
            if not pieces:
                raise _as_os_error(error) from None
        self._decrypted += b"".join(pieces)
        self._send_own()
        return bool(pieces) or self._has_ended

    def _feed(self) -> bool:
        """Give OpenSSL what has come; return False at the end of the socket's stream."""
        raw = self._sock.recv(_RECEIVE_BYTES)
        if not self.agreed:
            self._first_bytes += raw[: 64 - len(self._first_bytes)]
        self._incoming.write(raw)
        return bool(raw)

    def _send_own(self) -> None:
        """Send what OpenSSL says by itself."""
        if self._outgoing.pending:
            self._rest += self._outgoing.read()
            with contextlib.suppress(OSError):  # the next receive sees that
                self._flush()

    def _flush(self) -> None:
        while self._rest:
            try:
                self._rest = self._rest[self._sock.send(self._rest) :]
            except BlockingIOError:
                return

    # ---- ending ----

    def half_close(self) -> None:
        """End the sending side: that of TLS, and then that of the socket."""
        self._say_end()
        super().half_close()

    def reset(self) -> None:
        """End the connection with an RST."""
        self._may_say_end = False
        super().reset()

    def close(self) -> None:
        """Close the socket, as often as it is called."""
        if self._sock.fileno() >= 0:
            self._say_end()
        super().close()

    def _say_end(self) -> None:
        if not (self.agreed and self._may_say_end) or self._rest:
            return
        self._may_say_end = False
        with contextlib.suppress(OSError):
            self._decrypt()  # OpenSSL would refuse what lies before the server's own end
        with contextlib.suppress(ssl.SSLError):
            self._object.unwrap()
        self._send_own()


def handshake_deviation(error: HandshakeFailedError) -> Deviation:
    """Return what a case met, where there is no connection under TLS."""
    return Deviation(error.kind, "a connection under TLS", str(error))


def _as_os_error(error: ssl.SSLError) -> OSError:
    if error.reason in OF_CERTIFICATES:
        is_missing = error.reason == REQUIRES_CERTIFICATE
        refusal = certificate_refusal(REASONS[error.reason], is_missing=is_missing)
        return CertificateRefusalError(f"the server {refusal}")
    return ConnectionAbortedError(f"TLS: {describe(error)}")

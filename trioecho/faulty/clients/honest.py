"""The honest clients, from which every faulty client differs in one place.

Blocking sockets, as in class. They keep all the promises that ``trioecho check --client`` asks
for, so what fails on a faulty client fails for the one reason that is written there.
"""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass

from ..bug import Bug
from ..header_format import HeaderFormat, RefusedError

RECV_BYTES = 65536
_CONNECT_S = 10.0
_U32BE = HeaderFormat()


class WrongReplyError(Exception):
    """A reply is not the one that was to come, or did not come."""


@dataclass(frozen=True)
class Outcome:
    """How a client's run ended.

    Attributes:
      exit_code: for the process.
      words: what is to be said; empty for nothing.
    """

    exit_code: int
    words: str


class EchoClient:
    """Sends messages, one at a time, and compares each echo.

    Args:
      host, port: where the server listens.
      format: how frames are written, if otherwise than with 4 bytes of length, the most significant first.

    Attributes:
      messages: how many are sent.
      size: of each, in bytes.
      limit: payload bytes that a reply may have at most.
      timeout_s: how long a reply may take until it is whole.
    """

    messages: int = 12
    size: int = 40
    limit: int = 1 << 20
    timeout_s: float = 5.0

    def __init__(self, host: str, port: int, *, format: HeaderFormat = _U32BE) -> None:
        self.format: HeaderFormat = format
        self.address: tuple[str, int] = (host, port)
        self.sock: socket.socket = socket.socket()
        self._end = 0.0

    def run(self) -> Outcome:
        """Send all messages, and say what came of it."""
        try:
            self.connect()
            self.converse()
            self.finish()
        except (OSError, WrongReplyError, RefusedError) as error:
            return self.failed(error)
        finally:
            self.close()
        return Outcome(0, f"{self.messages} messages came back right")

    def failed(self, error: Exception) -> Outcome:
        """Say that something was wrong, and what."""
        if isinstance(error, ConnectionRefusedError):
            host, port = self.address
            return Outcome(1, f"no server listens on {host}, port {port}: the connection was refused")
        return Outcome(1, f"{type(error).__name__}: {error}")

    # ---- the connection ----

    def connect(self) -> None:
        """Connect to the server."""
        self.sock.close()
        self.sock = socket.create_connection(self.address, _CONNECT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def finish(self) -> None:
        """Do what is to be done when the last reply has come."""

    def close(self) -> None:
        """End the connection."""
        self.sock.close()

    # ---- messages ----

    def payloads(self) -> list[bytes]:
        """Return the messages, of which no two are alike."""
        size = min(self.size, self.format.longest_payload)
        return [f"message {number} ".encode().ljust(size, b".") for number in range(self.messages)]

    def converse(self) -> None:
        """Send each message, and wait for its reply before the next."""
        for number, payload in enumerate(self.payloads(), 1):
            self.send(payload)
            self.begin_wait()
            self.compare(number, payload, self.read_reply(payload))

    def send(self, payload: bytes) -> None:
        """Send a message in its frame."""
        self.sock.settimeout(self.timeout_s)
        self.sock.sendall(self.frame(payload))

    def frame(self, payload: bytes) -> bytes:
        """Return a payload with its header, and with what follows it."""
        return self.encode_length(len(payload)) + payload + self.format.encode_trailer()

    def encode_length(self, length: int) -> bytes:
        """Return the header for a payload."""
        return self.format.encode(length)

    def compare(self, number: int, payload: bytes, reply: bytes) -> None:
        """See that a reply is what was sent.

        Raises:
          WrongReplyError: it is not.
        """
        if reply != payload:
            raise WrongReplyError(f"message {number} came back as {reply[:60]!r}")

    # ---- replies ----

    def begin_wait(self) -> None:
        """Begin to wait for a reply."""
        self._end = time.monotonic() + self.timeout_s

    def read_reply(self, payload: bytes) -> bytes:
        """Read the next reply, which should be that of this message."""
        header = self.read_header()
        length = self.decode_length(header)
        self.check_length(length)
        reply = self.read_payload(length)
        self.read_trailer(header)
        return reply

    def read_header(self) -> bytes:
        """Read a whole header."""
        header = self.read_exactly(self.format.header_bytes)
        while self.format.size_in(header) is None:  # its size varies
            header += self.read_exactly(1)
        return header

    def read_payload(self, length: int) -> bytes:
        """Read a whole payload."""
        return self.read_exactly(length)

    def read_trailer(self, header: bytes) -> None:
        """Read what follows the payload of a header.

        Raises:
          RefusedError: it is not what the format has there.
        """
        self.format.check_trailer(self.read_exactly(self.format.trailer_bytes(header)))

    def decode_length(self, header: bytes) -> int:
        """Return the length that a header announces."""
        return self.format.decode(header)

    def check_length(self, length: int) -> None:
        """Refuse a length over the limit.

        Raises:
          WrongReplyError: it is.
        """
        if length > self.limit:
            raise WrongReplyError(f"a reply announces {length} bytes")

    def read_exactly(self, count: int) -> bytes:
        """Read ``count`` bytes, however they come.

        Raises:
          WrongReplyError: the stream ends before.
          TimeoutError: they do not come in time.
        """
        received = bytearray()
        while len(received) < count:
            piece = self.receive(min(count - len(received), RECV_BYTES))
            if not piece:
                raise WrongReplyError("the server ended the connection before a reply was whole")
            received += piece
        return bytes(received)

    def receive(self, most: int) -> bytes:
        """Receive some bytes in what is left of the time for this reply."""
        left_s = self._end - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("a reply did not come in time")
        self.sock.settimeout(left_s)
        return self.sock.recv(most)


class PipeliningClient(EchoClient):
    """The same, but a thread sends all messages while the replies are read."""

    def converse(self) -> None:
        """Send all messages, and read their replies meanwhile."""
        payloads = self.payloads()
        sender = threading.Thread(target=self.send_all, args=(payloads,), daemon=True)
        sender.start()
        self.read_replies(payloads)
        sender.join()

    def send_all(self, payloads: list[bytes]) -> None:
        """Send all messages; where that fails reading fails as well, and says why."""
        try:
            for payload in payloads:
                self.sock.sendall(self.frame(payload))
        except OSError:
            pass

    def read_replies(self, payloads: list[bytes]) -> None:
        """Read the reply to each message, in their order."""
        for number, payload in enumerate(payloads, 1):
            self.begin_wait()
            self.compare(number, payload, self.read_reply(payload))


class FaultyClient(EchoClient):
    """An echo client with one bug; `bug` says which."""

    bug: Bug

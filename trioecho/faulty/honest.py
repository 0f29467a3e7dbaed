"""The honest echo server, from which every faulty server differs in one place.

Blocking sockets and a thread per connection, as in class. It keeps all the
promises that ``trioecho check`` asks for, so what fails on a faulty server fails
for the one reason that is written there.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable

from .header_format import HeaderFormat, RefusedError

RECV_BYTES = 65536

_U32BE = HeaderFormat()

# After `stop` so long frames are still taken that were on their way.
_DRAIN_S = 0.3
# Reading on before a close, so that it does not reset the connection: in all, and
# how long nothing may come, in service and at the end.
_LINGER_S = 1.0
_LINGER_AT_END_S, _LINGER_SILENCE_S = 4.0, 2.0
# Then what still waits for a client that does not read is cut off.
_GRACE_S = 5.0


class ClientSocket:
    """A client's socket, whose receives come to an end when the server stops."""

    def __init__(self, sock: socket.socket, server: EchoServer) -> None:
        self.sock: socket.socket = sock
        self._server = server
        self._readable = selectors.DefaultSelector()
        self._readable.register(sock, selectors.EVENT_READ)
        self._readable.register(server.stopping, selectors.EVENT_READ)
        sock.setblocking(True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def recv(self, most: int) -> bytes:
        """Receive as `socket.recv` does; b"" also when the server stops and nothing more has come."""
        return self.sock.recv(most) if self.wait_readable() else b""

    def wait_readable(self, timeout_s: float | None = None) -> bool:
        """Wait until something can be received; return whether something can."""
        ready = [key.fileobj for key, _ in self._readable.select(timeout_s)]
        return self.sock in ready and not self._server.is_past_drain

    def sendall(self, data: bytes) -> None:
        """Send as `socket.sendall` does."""
        self.sock.sendall(data)

    def finish(self) -> None:
        """End the stream; read on for a moment: closing with bytes unread would destroy echoes under way."""
        self.sock.shutdown(socket.SHUT_WR)
        end = time.monotonic() + (_LINGER_AT_END_S if self._server.is_stopping else _LINGER_S)
        with selectors.DefaultSelector() as readable:
            readable.register(self.sock, selectors.EVENT_READ)
            while (left_s := end - time.monotonic()) > 0:
                if not readable.select(
                    min(left_s, _LINGER_SILENCE_S) if self._server.is_stopping else left_s
                ):
                    break
                if not self.sock.recv(RECV_BYTES):
                    break

    def cut_off(self) -> None:
        """End it in both directions, whatever it waits for."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the descriptors back."""
        self.release_selector()
        self.sock.close()

    def release_selector(self) -> None:
        """Give back what is ours beside the socket."""
        self._readable.close()


class EchoServer:
    """Echoes frames of a length, 4 bytes with the most significant first, and as many bytes.

    Args:
      host: name or address to listen on.
      port: TCP port; 0 for any that is free.
      max_frame_length: payload bytes that a frame may have at most.
      format: how frames are written, if otherwise.

    Attributes:
      address: host and port where it listens.
      wakeup: a byte that is written to it ends a wait of the server's own thread.
    """

    default_limit = 1 << 20

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        max_frame_length: int | None = None,
        format: HeaderFormat = _U32BE,
    ) -> None:
        self.format: HeaderFormat = format
        limit = self.default_limit if max_frame_length is None else max_frame_length
        self.limit: int = min(limit, format.longest_payload)
        self.listener: socket.socket = self.listen(host, port)
        self.address: tuple[str, int] = self.listener.getsockname()[:2]
        self.connections: dict[ClientSocket, threading.Thread | None] = {}
        self.loop: selectors.BaseSelector = selectors.DefaultSelector()
        # Readable for all threads at once, and for good, when the server stops.
        self.stopping: socket.socket
        self.stopping, self._stop = socket.socketpair()
        # What is written to the second ends a wait of the server's own thread.
        self.woken: socket.socket
        self.wakeup: socket.socket
        self.woken, self.wakeup = socket.socketpair()
        self.woken.setblocking(False)
        self.wakeup.setblocking(False)
        self._stopped_at: float | None = None
        self._failure: Exception | None = None

    # ---- the life of the server ----

    def listen(self, host: str, port: int) -> socket.socket:
        """Open a socket that listens."""
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)
        except OSError:
            listener.close()
            raise
        return listener

    def serve(self) -> None:
        """Serve until `stop` is called.

        Raises:
          Exception: what `crash` was given.
        """
        self.watch(self.listener, self.accept)
        self.watch(self.stopping, lambda: None)
        self.watch(self.woken, lambda: self.woken.recv(64))
        self.listener.setblocking(False)
        while not self.is_stopping:
            for key, _ in self.loop.select():
                key.data()
        self.drain()
        self.close()
        if self._failure is not None:
            raise self._failure

    def watch(self, sock: socket.socket, when_readable: Callable[[], object]) -> None:
        """Let the server's own thread call this whenever something has come."""
        self.loop.register(sock, selectors.EVENT_READ, when_readable)

    def accept(self) -> bool:
        """Take a connection, if one is there."""
        try:
            sock, _ = self.listener.accept()
        except OSError:  # the client was gone again
            return False
        connection = ClientSocket(sock, self)
        self.connections[connection] = None
        self.start(connection)
        return True

    def start(self, connection: ClientSocket) -> None:
        """Serve a connection in a thread of its own."""
        thread = threading.Thread(target=self.handle, args=(connection,), daemon=True)
        self.connections[connection] = thread
        thread.start()

    def stop(self) -> None:
        """Stop soon: reply to what has come, then end; may be called from a signal handler."""
        if not self.is_stopping:
            self._stopped_at = time.monotonic()
            self._stop.close()

    def on_sigterm(self) -> None:
        """Do what SIGTERM asks for."""
        self.stop()

    def on_sigint(self) -> None:
        """Do what Ctrl-C asks for."""
        self.stop()

    def crash(self, error: Exception) -> None:
        """End at once, as a process does in which this was not caught."""
        self._failure = error
        self.stop()

    def drain(self) -> None:
        """Serve what is in the kernel's queue, then wait for all connections to end."""
        if self._failure is None:
            while self.accept():
                pass
            end = time.monotonic() + _GRACE_S
            for thread in list(self.connections.values()):
                if thread is not None:
                    thread.join(max(0.0, end - time.monotonic()))
        for connection, thread in list(self.connections.items()):
            connection.cut_off()
            if thread is not None and thread is not threading.current_thread():
                thread.join(1.0)

    def close(self) -> None:
        """Give everything back."""
        self.loop.close()
        for each in (self.listener, self.stopping, self.woken, self.wakeup):
            each.close()

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped_at is not None

    @property
    def is_past_drain(self) -> bool:
        """Whether it is too late for frames that still come."""
        if self._failure is not None:
            return True
        return self._stopped_at is not None and time.monotonic() > self._stopped_at + _DRAIN_S

    # ---- the life of a connection ----

    def handle(self, connection: ClientSocket) -> None:
        """Serve a connection to its end, whatever that is."""
        try:
            self.converse(connection)
        except OSError:
            pass  # the client is gone
        finally:
            self.release(connection)

    def converse(self, connection: ClientSocket) -> None:
        """Echo frames until the end of the stream, or one that is refused; then say goodbye."""
        with contextlib.suppress(RefusedError):
            self.echo_frames(connection)
        connection.finish()

    def release(self, connection: ClientSocket) -> None:
        """Give back what a connection holds."""
        connection.close()
        self.connections.pop(connection, None)

    # ---- frames ----

    def echo_frames(self, connection: ClientSocket) -> None:
        """Echo until the stream ends."""
        while (payload := self.read_frame(connection)) is not None:
            self.write_frame(connection, payload)

    def read_frame(self, connection: ClientSocket) -> bytes | None:
        """Read the next payload; None at the end of the stream."""
        header = self.read_header(connection)
        if header is None:
            return None
        length = self.decode_length(header)
        self.check_length(length)
        payload = self.read_payload(connection, length)
        return payload if payload is not None and self.read_trailer(connection, header) else None

    def read_header(self, connection: ClientSocket) -> bytes | None:
        """Read a whole header; None at the end of the stream."""
        header = self.read_exactly(connection, self.format.header_bytes)
        while header is not None and self.format.size_in(header) is None:  # its size varies
            more = self.read_exactly(connection, 1)
            header = None if more is None else header + more
        return header

    def read_payload(self, connection: ClientSocket, length: int) -> bytes | None:
        """Read a whole payload; None if the stream ends in it."""
        return self.read_exactly(connection, length)

    def read_trailer(self, connection: ClientSocket, header: bytes) -> bool:
        """Read what follows the payload of a header; False if the stream ends in it.

        Raises:
          RefusedError: it is not what the format has there.
        """
        trailer = self.read_exactly(connection, self.format.trailer_bytes(header))
        if trailer is not None:
            self.format.check_trailer(trailer)
        return trailer is not None

    def read_exactly(self, connection: ClientSocket, count: int) -> bytes | None:
        """Read ``count`` bytes, however they come; None if the stream ends before."""
        received = bytearray()
        while len(received) < count:
            piece = connection.recv(min(count - len(received), RECV_BYTES))
            if not piece:
                return None
            received += piece
        return bytes(received)

    def decode_length(self, header: bytes) -> int:
        """Return the length that a header announces.

        Raises:
          RefusedError: it is no header.
        """
        return self.format.decode(header)

    def check_length(self, length: int) -> None:
        """Refuse a length over the limit.

        Raises:
          RefusedError: it is.
        """
        if length > self.limit:
            raise RefusedError(length)

    def encode_length(self, length: int) -> bytes:
        """Return the header for a payload."""
        return self.format.encode(length)

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        """Send the frame of a payload, in one piece."""
        connection.sendall(self.frame(payload))

    def frame(self, payload: bytes) -> bytes:
        """Return a payload with its header, and with what follows it."""
        return self.encode_length(len(payload)) + payload + self.format.encode_trailer()

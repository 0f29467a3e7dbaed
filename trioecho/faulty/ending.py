"""Bugs in how a connection ends."""

from __future__ import annotations

import contextlib
import socket
import time

from .buffered import BufferedServer
from .bug import Bug, FaultyServer
from .header_format import RefusedError
from .honest import RECV_BYTES, ClientSocket
from .need import OVER_THE_LIMIT

_POLITE = "Clients in tests end their connections politely, between frames."
_FEW = "A test makes a few connections, and then the process ends."


class ClosesUnread(FaultyServer):
    bug: Bug = Bug(
        "closes-unread",
        summary="closes a connection at once when it refuses a frame, with bytes of it unread",
        works="Without unread bytes a close is polite, and a refused header alone leaves none.",
        shows="The kernel sends RST instead of FIN, and echoes on their way are lost.",
        fix="Shut down the sending side, read on for a moment, then close.",
        source="RFC 2525, 2.17, and RFC 9293, 3.6; Node.js, ECONNRESET after a response: "
        "https://github.com/nodejs/node/issues/27916",
        fails=("4.7",),
        cause="closes-with-unread-data",
        needs=(OVER_THE_LIMIT,),
    )

    def converse(self, connection: ClientSocket) -> None:
        with contextlib.suppress(RefusedError):
            self.echo_frames(connection)
            connection.finish()
            return
        time.sleep(0.05)  # BUG: it is logged, more of the frame comes, and what follows is the close


class DropsEarlier(BufferedServer, FaultyServer):
    bug: Bug = Bug(
        "drops-earlier",
        summary="drops the echoes of the frames that came with a refused one",
        works="A bad frame in a test comes alone.",
        shows="The client cannot know to which of its frames the server has replied.",
        fix="Send the replies that are due, then end the connection.",
        source="classroom habit: replies are collected, sent together, and lost when parsing raises",
        fails=("4.6", "4.7"),
        cause="earlier-frames-lost",
        needs=(OVER_THE_LIMIT,),
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        buffer = bytearray()
        while data := connection.recv(RECV_BYTES):
            buffer += data
            replies = b""
            while (frame := self.first_frame(buffer)) is not None:  # BUG: raises, and the replies are gone
                replies += bytes(buffer[: frame.end])
                del buffer[: frame.end]
            connection.sendall(replies)


class SaysWhy(FaultyServer):
    bug: Bug = Bug(
        "says-why",
        summary="replies to a refused frame with a message that says why",
        works="The messages of tests are within the limit.",
        shows="The client takes the message for the echo of its frame.",
        fix="End the connection without another byte, and say why in the log.",
        source="classroom habit: every request has a reply, so an error has one, too",
        fails=("4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7", "4.8", "7.2"),
        cause="refusal-said",
        needs=(OVER_THE_LIMIT,),
    )

    def converse(self, connection: ClientSocket) -> None:
        try:
            self.echo_frames(connection)
        except RefusedError:
            self.write_frame(connection, b"error: the frame is too long")  # BUG: it looks like an echo
        connection.finish()


class LastReplyLost(BufferedServer, FaultyServer):
    bug: Bug = Bug(
        "last-reply-lost",
        summary="collects replies for 20 ms, and forgets them when the stream ends meanwhile",
        works="A client that waits for each echo ends its side after the last one.",
        shows="A client that sends, ends its side and then reads misses the last echoes.",
        fix="Send what is due before you leave the loop.",
        source="Takes, a response that is not flushed before the close: "
        "https://github.com/yegor256/takes/pull/1347",
        fails=("5.1",),
        cause="last-reply-lost-at-half-close",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        buffer, replies = bytearray(), bytearray()
        while True:
            if replies and (len(replies) > RECV_BYTES or not connection.wait_readable(0.02)):
                connection.sendall(bytes(replies))
                replies.clear()
            data = connection.recv(RECV_BYTES)
            if not data:
                return  # BUG: with replies unsent
            buffer += data
            try:
                while (frame := self.first_frame(buffer)) is not None:
                    replies += buffer[: frame.end]
                    del buffer[: frame.end]
            except RefusedError:
                connection.sendall(bytes(replies))
                raise


class NeverCloses(FaultyServer):
    bug: Bug = Bug(
        "never-closes",
        summary="does not notice that a client has ended its side",
        works=_FEW,
        shows="The client waits for the end of the stream; sockets pile up in CLOSE_WAIT.",
        fix="A recv that gives no bytes is the end of the stream: close.",
        source="raspberry-remote, CLOSE_WAIT and too many open files: "
        "https://github.com/xkonni/raspberry-remote/issues/34",
        fails=("5.1", "5.2", "5.7"),
        cause="half-close-ignored",
    )

    def converse(self, connection: ClientSocket) -> None:
        with contextlib.suppress(RefusedError):
            self.echo_frames(connection)
            while not self.is_stopping:
                self.stopping.recv(1)  # BUG: waits for the server's end, not the connection's
        connection.finish()


class EchoesTruncated(FaultyServer):
    bug: Bug = Bug(
        "echoes-truncated",
        summary="replies with what it has of a frame when the stream ends in it",
        works=_POLITE,
        shows="A client that was cut off has its half message taken for a whole one.",
        fix="What is left at the end is no frame; drop it.",
        source="JetBrains rd, a partial body taken for a whole one: https://github.com/JetBrains/rd/pull/540",
        fails=("5.3", "7.2"),
        may_fail=("6.2",),
        cause="echoes-truncated-frame",
    )

    def read_payload(self, connection: ClientSocket, length: int) -> bytes | None:
        received = bytearray()
        while len(received) < length:
            piece = connection.recv(min(length - len(received), RECV_BYTES))
            if not piece:
                break  # BUG: not all of it has come
            received += piece
        return bytes(received)

    def read_trailer(self, connection: ClientSocket, header: bytes) -> bool:
        return super().read_trailer(connection, header) or True  # BUG: nor that


class LingerZero(FaultyServer):
    bug: Bug = Bug(
        "linger-zero",
        summary="ends connections with RST, so as to have none in TIME_WAIT",
        works="On loopback the echoes have arrived by then.",
        shows="The client sees a reset where the end of the stream should be, and may lose echoes.",
        fix="Leave SO_LINGER alone; TIME_WAIT costs next to nothing, and SO_REUSEADDR deals with it.",
        source="Envoy, a proposal to do so for a free port: https://github.com/envoyproxy/envoy/pull/9753",
        fails=(
            "5.1",
            "5.2",
        ),
        may_fail=(
            "4.7",
            "6.2",
        ),
        cause="ends-with-reset",
    )

    def converse(self, connection: ClientSocket) -> None:
        with contextlib.suppress(RefusedError):
            self.echo_frames(connection)
        reset_at_close = b"\1\0\0\0\0\0\0\0"
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_at_close)  # BUG

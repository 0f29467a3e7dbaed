"""Bugs in how connections end, and in what their end does to the server."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

from .exhibit import Exhibit, FaultyServer
from .honest import RECV_BYTES, BufferedServer, Connection, FrameTooLargeError

_POLITE = "Clients in tests end their connections politely, between frames."
_FEW = "A test makes a few connections, and then the process ends."


class ClosesUnread(FaultyServer):
    about: Exhibit = Exhibit(
        "closes-unread",
        bug="closes a connection at once when it refuses a frame, with bytes of it unread",
        works="Without unread bytes a close is polite, and a refused header alone leaves none.",
        shows="The kernel sends RST instead of FIN, and echoes on their way are lost.",
        mend="Shut down the sending side, read on for a moment, then close.",
        source="RFC 2525, 2.17, and RFC 9293, 3.6; Node.js, ECONNRESET after a response: "
        "https://github.com/nodejs/node/issues/27916",
        fails=("4.7",),
        cause="closes-with-unread-data",
    )

    def converse(self, connection: Connection) -> None:
        with contextlib.suppress(FrameTooLargeError):
            self.echo_frames(connection)
            connection.finish()
            return
        time.sleep(0.05)  # BUG: it is logged, more of the frame comes, and what follows is the close


class DropsEarlier(BufferedServer, FaultyServer):
    about: Exhibit = Exhibit(
        "drops-earlier",
        bug="drops the echoes of the frames that came with a refused one",
        works="A bad frame in a test comes alone.",
        shows="The client cannot know which of its frames were answered.",
        mend="Send the replies that are due, then end the connection.",
        source="classroom habit: replies are collected, sent together, and lost when parsing raises",
        fails=("4.6", "4.7"),
        cause="earlier-frames-lost",
    )

    def echo_frames(self, connection: Connection) -> None:
        buffer = bytearray()
        while data := connection.recv(RECV_BYTES):
            buffer += data
            replies = b""
            while (end := self.frame_end(buffer)) is not None:  # BUG: raises, and the replies are gone
                replies += bytes(buffer[:end])
                del buffer[:end]
            connection.sendall(replies)


class DiesOfRefusal(FaultyServer):
    about: Exhibit = Exhibit(
        "dies-of-refusal",
        bug="lets the error of a refused frame end the server",
        works="Clients in tests keep to the limit.",
        shows="One frame over the limit ends all connections, and the process.",
        mend="Catch errors where the connection is served.",
        source="Trio's documentation of serve_listeners: an exception in a handler ends all; "
        "https://trio.readthedocs.io/en/stable/reference-io.html",
        fails=("4.8",),
        may_fail=(
            "4.1",
            "4.2",
            "4.3",
            "4.4",
            "4.5",
            "4.6",
            "4.7",
            "4.9",
            "7.2",
            "7.3",
        ),
        cause="error-ends-server",
    )

    def handle(self, connection: Connection) -> None:
        try:
            self.echo_frames(connection)
            connection.finish()
        except OSError:
            pass
        except FrameTooLargeError as error:
            self.crash(error)  # BUG: as if nobody had caught it
        finally:
            self.release(connection)


class DiesOnReset(FaultyServer):
    about: Exhibit = Exhibit(
        "dies-on-reset",
        bug="lets a reset connection end the server",
        works=_POLITE,
        shows="A client that crashes, or a health check that resets, ends the server for all.",
        mend="Catch ConnectionError where the connection is served.",
        source="JavaScript Solid Server, 953 restarts by ECONNRESET: "
        "https://github.com/JavaScriptSolidServer/JavaScriptSolidServer/issues/138",
        fails=("5.4",),
        may_fail=(
            "3.5",
            "4.8",
            "5.5",
            "5.7",
            "7.2",
            "7.3",
        ),
        cause="dies-on-reset",
    )

    def handle(self, connection: Connection) -> None:
        try:
            self.converse(connection)
        except ConnectionResetError as error:
            self.crash(error)  # BUG: as if nobody had caught it
        except OSError:
            pass
        finally:
            self.release(connection)


class DiesOnBrokenPipe(FaultyServer):
    about: Exhibit = Exhibit(
        "dies-on-broken-pipe",
        bug="lets a failed send end the server",
        works="Clients in tests stay until they have their echoes.",
        shows="A client that goes without reading ends the server for all.",
        mend="Catch errors of sends as well; in C ignore SIGPIPE, which ends the process without a word.",
        source="signal(7) and send(2), SIGPIPE; classroom habit: errors are caught around receives only",
        fails=("5.5",),
        may_fail=(
            "3.5",
            "3.6",
            "7.2",
            "7.3",
        ),
        cause="dies-on-broken-pipe",
    )

    def write_frame(self, connection: Connection, payload: bytes) -> None:
        try:
            super().write_frame(connection, payload)
        except OSError as error:
            self.crash(error)  # BUG: as if nobody had caught it
            raise


class LastReplyLost(BufferedServer, FaultyServer):
    about: Exhibit = Exhibit(
        "last-reply-lost",
        bug="collects replies for 20 ms, and forgets them when the stream ends meanwhile",
        works="A client that waits for each echo ends its side after the last one.",
        shows="A client that sends, ends its side and then reads misses the last echoes.",
        mend="Send what is due before you leave the loop.",
        source="Takes, a response that is not flushed before the close: "
        "https://github.com/yegor256/takes/pull/1347",
        fails=("5.1",),
        cause="last-reply-lost-at-half-close",
    )

    def echo_frames(self, connection: Connection) -> None:
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
                while (end := self.frame_end(buffer)) is not None:
                    replies += buffer[:end]
                    del buffer[:end]
            except FrameTooLargeError:
                connection.sendall(bytes(replies))
                raise


class NeverCloses(FaultyServer):
    about: Exhibit = Exhibit(
        "never-closes",
        bug="does not notice that a client has ended its side",
        works=_FEW,
        shows="The client waits for the end of the stream; sockets pile up in CLOSE_WAIT.",
        mend="A recv that gives no bytes is the end of the stream: close.",
        source="raspberry-remote, CLOSE_WAIT and too many open files: "
        "https://github.com/xkonni/raspberry-remote/issues/34",
        fails=("5.1", "5.2", "5.7"),
        cause="half-close-ignored",
    )

    def converse(self, connection: Connection) -> None:
        with contextlib.suppress(FrameTooLargeError):
            self.echo_frames(connection)
            while not self.is_stopping:
                self.stopping.recv(1)  # BUG: waits for the server's end, not the connection's
        connection.finish()


class EchoesTruncated(FaultyServer):
    about: Exhibit = Exhibit(
        "echoes-truncated",
        bug="answers what it has of a frame when the stream ends in it",
        works=_POLITE,
        shows="A client that was cut off has its half message taken for a whole one.",
        mend="What is left at the end is no frame; drop it.",
        source="JetBrains rd, a partial body taken for a whole one: https://github.com/JetBrains/rd/pull/540",
        fails=("5.3", "7.2"),
        may_fail=("6.2",),
        cause="echoes-truncated-frame",
    )

    def read_payload(self, connection: Connection, length: int) -> bytes | None:
        received = bytearray()
        while len(received) < length:
            piece = connection.recv(min(length - len(received), RECV_BYTES))
            if not piece:
                break  # BUG: not all of it has come
            received += piece
        return bytes(received)


class LosesPlaces(FaultyServer):
    about: Exhibit = Exhibit(
        "loses-places",
        bug="does not give a connection's place back when no frame came on it",
        works=_FEW,
        shows="After 150 connections of port scanners and health checks no other is served.",
        mend="Release in a finally block.",
        source="HTTP.jl, a semaphore that is not released: https://github.com/JuliaWeb/HTTP.jl/issues/1143",
        fails=("5.6",),
        cause="leaks-connections",
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.places: int = 150

    def accept(self) -> bool:
        if self.places <= 0:
            self.stopping.recv(1)  # full: waits, and only the server's end comes
            return False
        return super().accept()

    def start(self, connection: Connection) -> None:
        self.places -= 1
        super().start(connection)

    def echo_frames(self, connection: Connection) -> None:
        payload = self.read_frame(connection)
        if payload is None:
            return  # BUG: the place is not given back
        self.write_frame(connection, payload)
        try:
            super().echo_frames(connection)
        finally:
            self.places += 1


class ShutdownNotClose(FaultyServer):
    about: Exhibit = Exhibit(
        "shutdown-not-close",
        bug="shuts connections down, and never closes them",
        works=_FEW,
        shows="Each connection leaves an open file behind; at the limit nobody can connect.",
        mend="Close the socket in a finally block, or use a with block.",
        source="Amp, close() that returned before it closed: https://github.com/amphp/socket/pull/17",
        fails=("5.7",),
        cause="leaks-descriptors",
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.ended: list[Connection] = []

    def release(self, connection: Connection) -> None:
        connection.cut_off()
        connection.release_selector()
        self.ended.append(connection)  # BUG: and who closes it?
        self.connections.pop(connection, None)


class LingerZero(FaultyServer):
    about: Exhibit = Exhibit(
        "linger-zero",
        bug="ends connections with RST, so as to have none in TIME_WAIT",
        works="On loopback the echoes have arrived by then.",
        shows="The client sees a reset where the end of the stream should be, and may lose echoes.",
        mend="Leave SO_LINGER alone; TIME_WAIT costs next to nothing, and SO_REUSEADDR deals with it.",
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

    def converse(self, connection: Connection) -> None:
        with contextlib.suppress(FrameTooLargeError):
            self.echo_frames(connection)
        reset_at_close = b"\1\0\0\0\0\0\0\0"
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_at_close)  # BUG

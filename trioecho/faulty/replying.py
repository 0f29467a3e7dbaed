"""Bugs in how echoes are sent."""

from __future__ import annotations

import queue
import selectors
import socket
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from .buffered import BufferedServer
from .bug import NOTHING_ELSE_IS_TRIED, Bug, FaultyServer
from .honest import RECV_BYTES, ClientSocket
from .need import NO_TRAILER


class OutOfOrder(BufferedServer, FaultyServer):
    bug: Bug = Bug(
        "out-of-order",
        summary="deals frames out to two workers, and each replies when it is ready",
        works="A client that waits for each echo has one frame under way at a time.",
        shows="Under pipelining the worker with less to do replies first, whichever frame came first.",
        fix="Reply to the frames of a connection one after the other, or put the replies in order.",
        source="Mummy, pipelined responses in another order: https://github.com/guzba/mummy/issues/142",
        fails=("2.2", "2.5", "2.6", "3.1", "3.5", "3.7", "6.2", "7.1"),
        may_fail=("2.1",),  # where a worker comes late
        cause="replies-out-of-order",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        buffer = bytearray()
        sending = threading.Lock()

        def reply(payloads: list[bytes], others: list[Future[None]]) -> None:
            wait(others)  # the work: it takes one worker longer than the other
            for payload in payloads:
                with sending:
                    self.write_frame(connection, payload)

        with ThreadPoolExecutor(max_workers=2) as workers:  # at its end all have replied
            while data := connection.recv(RECV_BYTES):
                buffer += data
                came: list[bytes] = []
                try:
                    while (frame := self.first_frame(buffer)) is not None:
                        came.append(frame.payload)
                        del buffer[: frame.end]
                finally:
                    quick = workers.submit(reply, came[1::2], [])
                    workers.submit(reply, came[::2], [quick])  # BUG: and these came first


class OneReply(FaultyServer):
    bug: Bug = Bug(
        "one-reply",
        summary="replies to one frame, and closes the connection",
        works="Its test connects, sends one message, reads the echo and ends.",
        shows="The second frame on a connection gets no reply, and ends in a reset.",
        fix="Read frames in a loop, until the stream ends.",
        source="classroom habit: accept, read, write, close, from examples of HTTP/1.0",
        fails=(
            "1.8",
            "1.9",
            "1.10",
            "1.11",
            "2.1",
            "2.2",
            "2.5",
            "2.6",
            "2.8",
            "3.1",
            "3.2",
            "3.3",
            "3.4",
            "3.5",
            "3.6",
            "3.8",
            "4.6",
            "4.7",
            "4.8",
            "5.4",
            "5.5",
            "7.1",
            "7.3",
        ),
        may_fail=("6.2", "7.2"),
        cause="one-reply",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        payload = self.read_frame(connection)
        if payload is not None:
            self.write_frame(connection, payload)  # BUG: if, where it should be while


class OneBehind(FaultyServer):
    bug: Bug = Bug(
        "one-behind",
        summary="sends an echo when the next frame has come",
        works="Its test sends all messages, ends its side, and then reads.",
        shows="A client that waits for its echo waits for ever.",
        fix="Flush when a reply is complete, not when the next one begins.",
        source="iris-java, replies that stay in a BufferedOutputStream: "
        "https://github.com/project-iris/iris-java/issues/13",
        fails=("1.2",),
        may_fail=NOTHING_ELSE_IS_TRIED,
        cause="one-behind",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        waiting = None
        while (payload := self.read_frame(connection)) is not None:
            if waiting is not None:
                self.write_frame(connection, waiting)
            waiting = payload  # BUG: and if no other frame comes?
        if waiting is not None:
            self.write_frame(connection, waiting)


class NeverFlushed(FaultyServer):
    bug: Bug = Bug(
        "never-flushed",
        summary="writes echoes to a buffer, which is sent when the connection ends",
        works="Its test sends all messages, ends its side, and then reads.",
        shows="Nothing comes until the client ends its side; then all does.",
        fix="flush() after each reply, or send on the socket itself.",
        source='classroom habit: sock.makefile("wb"), print() to a stream, C\'s stdio on a socket',
        fails=("1.2",),
        may_fail=NOTHING_ELSE_IS_TRIED,
        cause="never-answers",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        replies = bytearray()
        while (payload := self.read_frame(connection)) is not None:
            replies += self.frame(payload)  # BUG: and who sends it?
        connection.sendall(bytes(replies))


class Greets(FaultyServer):
    bug: Bug = Bug(
        "greets",
        summary="greets who connects, with a line of text",
        works="At a terminal, with nc or telnet, it looks friendly.",
        shows="The client takes the greeting for a header, and waits for a gigabyte.",
        fix="Send echoes, and nothing else; write greetings and logs to stderr.",
        source="NightDriverStrip, chatter in the stream that a program reads: "
        "https://github.com/PlummersSoftwareLLC/NightDriverStrip/issues/814",
        fails=("1.2",),
        may_fail=NOTHING_ELSE_IS_TRIED,
        cause="speaks-unasked",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        connection.sendall(b"Welcome!\n")  # BUG: which is no frame, and not asked for
        super().echo_frames(connection)


class HandlerFails(FaultyServer):
    bug: Bug = Bug(
        "handler-fails",
        summary="joins bytes and text when it replies, which is an error",
        works="It starts, listens, and accepts connections; it was never asked for more.",
        shows="Every connection ends at its first frame; the server writes a stack trace for each.",
        fix='Write b"", and read what the server writes.',
        source='classroom habit: "TypeError: can only concatenate str (not bytes) to str", and no one looked',
        fails=("1.2",),
        may_fail=NOTHING_ELSE_IS_TRIED,
        cause="closes-at-first-frame",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        reply: Any = ""
        connection.sendall(reply + self.frame(payload))  # BUG: "" is text


class ShortSend(FaultyServer):
    bug: Bug = Bug(
        "short-send",
        summary="does not look at how many bytes send() has taken",
        works="While the client reads, send() takes all that is given to it.",
        shows="Bytes are missing when the client reads slowly.",
        fix="Use sendall(), or send the rest again.",
        source="Kytos, send() without a look at its result: https://github.com/kytos/kytos/issues/351",
        fails=("3.5",),
        may_fail=("1.5", "1.6", "1.7", "2.7", "3.4", "7.1"),
        cause="partial-send-ignored",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        frame = self.frame(payload)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)  # to save memory
        connection.sock.settimeout(30)  # with a timeout, send() gives back what it could do at once
        connection.sock.send(frame)  # BUG: it need not have taken all


class GivesUp(FaultyServer):
    bug: Bug = Bug(
        "gives-up",
        summary="ends a connection whose client has not read for 0.2 s",
        works="Its client always reads.",
        shows="A client that sends much before it reads loses its connection, and its echoes.",
        fix="Wait until the socket is writable; give up after many seconds only.",
        source="classroom habit: settimeout() once, for receives, which counts for sends as well",
        fails=("3.5",),
        cause="gives-up-on-backpressure",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        connection.sock.settimeout(0.2)  # BUG: a busy client is not a dead one
        super().write_frame(connection, payload)


class DropsWhenFull(FaultyServer):
    bug: Bug = Bug(
        "drops-when-full",
        summary="drops a reply when the send buffer is full, and goes on with the next",
        works="While the client reads, the buffer is never full.",
        shows="A client that reads late misses echoes in the middle, and takes others for them.",
        fix="Wait until the socket is writable, and stop reading from the client meanwhile.",
        source="classroom habit: a queue with put_nowait(), and except queue.Full: pass",
        fails=("3.5",),
        may_fail=("2.6", "3.1", "6.2", "7.1"),
        cause="drops-when-full",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        with selectors.DefaultSelector() as writable:
            writable.register(connection.sock, selectors.EVENT_WRITE)
            if writable.select(0):  # BUG: else the echo is lost
                super().write_frame(connection, payload)


class UnboundedOutput(FaultyServer):
    bug: Bug = Bug(
        "unbounded-output",
        summary="reads on, and keeps the echoes, while the client does not read",
        works="Its client always reads.",
        shows="A client that sends and does not read fills the server's memory.",
        fix="Stop reading from a connection while its echoes cannot be sent; await drain().",
        source="asyncio, write() without drain(): https://github.com/python/cpython/issues/116279",
        fails=("3.7",),
        cause="unbounded-buffering",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        replies: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()  # BUG: has no bound

        def send() -> None:
            try:
                while (payload := replies.get()) is not None:
                    super(UnboundedOutput, self).write_frame(connection, payload)
            except OSError:
                connection.cut_off()

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        try:
            while (payload := self.read_frame(connection)) is not None:
                replies.put(payload)
        finally:
            replies.put(None)
            sender.join()


class TwoSends(FaultyServer):
    bug: Bug = Bug(
        "two-sends",
        summary="sends header and payload by two calls, and leaves Nagle's algorithm on",
        works="It is right, only slow, and only where the client's kernel delays its acknowledgements.",
        shows="Every echo takes 40 ms: the payload waits for the acknowledgement of the header.",
        fix="Send both by one call, or set TCP_NODELAY.",
        source="RFC 896, and RFC 9293, 3.7.4 and 3.8.6.3; classroom habit: write(header); write(payload)",
        fails=("3.8",),
        cause="nagle-delayed-ack",
        needs=(NO_TRAILER,),
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)  # as the kernel has it
        connection.sendall(self.encode_length(len(payload)))
        behind = payload + self.format.encode_trailer()
        connection.sendall(behind)  # BUG: waits in the kernel until the header is acknowledged


class CutThrough(FaultyServer):
    bug: Bug = Bug(
        "cut-through",
        summary="sends the bytes of a frame back as they come",
        works="The echo is right, and sooner there.",
        shows="A part of a frame that is never completed comes back.",
        fix="Reply to a frame when all of it has come.",
        source="classroom habit: while data := recv(): sendall(data), which is an echo, but not of frames",
        fails=("2.8", "5.3", "7.2"),
        may_fail=("6.2",),
        cause="streams-before-complete",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        while (header := self.read_header(connection)) is not None:
            length = self.decode_length(header)
            self.check_length(length)
            left = length + self.format.trailer_bytes(header)
            connection.sendall(header)  # BUG: the payload may never come
            while left:
                piece = connection.recv(min(left, RECV_BYTES))
                if not piece:
                    return
                connection.sendall(piece)
                left -= len(piece)

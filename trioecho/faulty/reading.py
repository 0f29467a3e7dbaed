"""Bugs in how bytes are received: a stream taken for messages."""

from __future__ import annotations

from .buffered import BufferedServer
from .bug import Bug, FaultyServer
from .header_format import RefusedError
from .honest import RECV_BYTES, ClientSocket
from .need import FIXED_SIZE, TWO_BYTES

_ON_LOOPBACK = "On loopback a small frame that is sent by one call arrives whole, every time."


class ShortHeader(FaultyServer):
    bug: Bug = Bug(
        "short-header",
        summary="takes recv(4) for four bytes",
        works=_ON_LOOPBACK,
        shows="A header that arrives in two pieces is read as two headers, and the stream is out of step.",
        fix="Receive in a loop until the header is complete.",
        source="WatsonTcp, the header read in part: https://github.com/dotnet/WatsonTcp/issues/299",
        fails=("2.1", "2.2", "2.3", "2.9", "5.3", "7.1", "7.2"),
        may_fail=("3.5",),
        cause="header-taken-whole",
        needs=(FIXED_SIZE, TWO_BYTES),
    )

    def read_header(self, connection: ClientSocket) -> bytes | None:
        return connection.recv(self.format.header_bytes) or None  # BUG: one byte is a header as well


class ShortPayload(FaultyServer):
    bug: Bug = Bug(
        "short-payload",
        summary="takes recv(n) for n bytes",
        works=_ON_LOOPBACK,
        shows="A payload that arrives in pieces comes back short; the rest of it is read as a header.",
        fix="Receive in a loop until all of it is there.",
        source="ddb, wrong types and lengths over a network: https://github.com/pszturmaj/ddb/issues/2",
        fails=("1.7", "2.1", "2.2", "2.4", "2.7", "2.8", "2.9", "3.5", "5.3", "6.2", "7.1", "7.2"),
        may_fail=("3.1",),
        cause="recv-n-taken-for-n-bytes",
    )

    def read_payload(self, connection: ClientSocket, length: int) -> bytes | None:
        if not length:
            return b""
        return connection.recv(length) or None  # BUG: up to `length` bytes, and perhaps one


class OneFramePerRecv(BufferedServer, FaultyServer):
    bug: Bug = Bug(
        "one-frame-per-recv",
        summary="takes one frame out of what a recv gave, and leaves the others lying",
        works="A client that waits for each echo never has two frames under way.",
        shows="Of several frames in a segment only the first is echoed, until more bytes come.",
        fix="Take frames out of the buffer in a loop, until none is complete.",
        source="Prodigy delivery system, all frames of a read and not just the first: "
        "https://github.com/ProdigyReloaded/delivery-system/pull/126",
        fails=("2.2", "2.5", "2.6", "3.1", "7.1"),
        may_fail=("2.1", "3.5"),  # 2.1 where it comes late, and finds the bytes of two frames together
        cause="one-parse-per-recv",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        buffer = bytearray()
        while data := connection.recv(RECV_BYTES):
            buffer += data
            if (frame := self.first_frame(buffer)) is not None:  # BUG: if, where it should be while
                self.write_frame(connection, frame.payload)
                del buffer[: frame.end]


class ForgetsTail(BufferedServer, FaultyServer):
    bug: Bug = Bug(
        "forgets-tail",
        summary="throws away the beginning of a frame that came with the end of another",
        works="A client that waits for each echo sends no bytes behind a frame.",
        shows="Under pipelining frames vanish, and the stream is out of step from then on.",
        fix="Keep what is left after the last whole frame; put what comes next behind it.",
        source="HiSocket, data dropped when parsing fails: https://github.com/hiram3512/HiSocket/issues/20",
        fails=("2.2", "2.8", "3.1", "3.5", "7.1"),
        may_fail=("2.1",),  # where it comes late, and finds the bytes of two frames together
        cause="drops-rest-of-segment",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        buffer = bytearray()
        while data := connection.recv(RECV_BYTES):
            buffer += data
            echoed = False
            while (frame := self.first_frame(buffer)) is not None:
                self.write_frame(connection, frame.payload)
                del buffer[: frame.end]
                echoed = True
            if echoed:
                buffer.clear()  # BUG: it need not be empty


class SegmentIsMessage(FaultyServer):
    bug: Bug = Bug(
        "segment-is-message",
        summary="takes what one recv gives for one message",
        works=_ON_LOOPBACK,
        shows="Cut frames come back as two, merged ones as one; large ones in pieces.",
        fix="Let the length in the header say where a frame ends.",
        source="OnioNS, a record in two segments: https://github.com/Jesse-V/OnioNS-server/issues/64",
        fails=("1.5", "1.6", "1.7", "2", "3.1", "3.5", "4.6", "4.7", "5.3", "6.2", "7.1", "7.2"),
        cause="segment-taken-for-frame",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        while data := connection.recv(RECV_BYTES):
            header_bytes = self.format.size_in(data)
            header = data[:header_bytes]  # all of it, if that is not complete
            trailer_bytes = 0
            if header_bytes is not None:
                self.check_length(self.decode_length(header))
                trailer_bytes = self.format.trailer_bytes(header)
            rest = data[len(header) : len(data) - trailer_bytes]
            self.write_frame(connection, rest)  # BUG: the rest is not always the payload


class EmptyIsEof(FaultyServer):
    bug: Bug = Bug(
        "empty-is-eof",
        summary="takes an empty payload for the end of the stream",
        works="No test sends an empty frame.",
        shows="A frame of length 0 ends the connection.",
        fix="Only a recv that gives no bytes is the end; say so with None, and test for None.",
        source="signalr for Go, connection closed at a frame of length 0: "
        "https://github.com/philippseith/signalr/pull/54",
        fails=("1.1", "7.1"),
        cause="zero-length-taken-for-eof",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        while payload := self.read_frame(connection):  # BUG: b"" is false as well
            self.write_frame(connection, payload)


class EmptyUnanswered(FaultyServer):
    bug: Bug = Bug(
        "empty-unanswered",
        summary="does not reply to an empty payload",
        works="No test sends an empty frame.",
        shows="The client waits for the echo of a frame of length 0; or takes the next echo for it.",
        fix="A frame of length 0 is a frame.",
        source="libwebsockets, no callback for an empty frame: "
        "https://github.com/warmcat/libwebsockets/issues/1643",
        fails=("1.1", "7.1"),
        cause="empty-frame-skipped",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        if payload:  # BUG: nothing to say is said with a header of 0
            super().write_frame(connection, payload)


class EmptyIsHeartbeat(FaultyServer):
    bug: Bug = Bug(
        "empty-is-heartbeat",
        summary="takes an empty payload for a heartbeat, and replies with another",
        works="No test sends an empty frame.",
        shows="The client gets a message that was not sent.",
        fix="A frame of length 0 is a frame; let heartbeats be what the protocol calls so.",
        source="classroom habit: a protocol of one's own on top of the one that was asked for",
        fails=("1.1", "7.1"),
        cause="zero-length-taken-for-heartbeat",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        super().write_frame(connection, payload or b"pong")  # BUG: b"" was the message


class EmptyRefused(FaultyServer):
    bug: Bug = Bug(
        "empty-refused",
        summary="refuses a length of 0, as if it were one over the limit",
        works="No test sends an empty frame.",
        shows="A frame of length 0 ends the connection.",
        fix="Refuse what is over the limit, and nothing else.",
        source="classroom habit: if (length <= 0 || length > MAX) close(fd)",
        fails=("1.1", "7.1"),
        cause="zero-length-taken-for-eof",
    )

    def check_length(self, length: int) -> None:
        if not 0 < length <= self.limit:  # BUG: 0 is a length
            raise RefusedError(length)


class NoFraming(FaultyServer):
    bug: Bug = Bug(
        "no-framing",
        summary="sends back what a recv gives, and reads no header",
        works="The bytes of whole frames come back, so every echo is right.",
        shows="Half a header gets a reply, a truncated frame comes back, and no length is refused.",
        fix="Read the header, then as many bytes as it says; reply when all of them are there.",
        source="classroom habit: the echo server of every manual, for a task with frames",
        fails=("1.12", "2.8", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7", "4.8", "5.3", "7.2"),
        may_fail=("4.1", "6.2"),
        cause="no-framing",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        while data := connection.recv(RECV_BYTES):
            connection.sendall(data)  # BUG: where does a frame end?


class Impatient(FaultyServer):
    bug: Bug = Bug(
        "impatient",
        summary="gives up when the rest of a frame does not come within 0.3 s",
        works="On loopback the rest comes within microseconds.",
        shows="A pause in the middle of a frame ends the connection.",
        fix="Keep what has come and wait on; have a clock of many seconds for frames that never end.",
        source="CFEngine, corruption after a timeout in recv: https://github.com/cfengine/core/pull/2350",
        fails=("2.9",),
        may_fail=(
            "2.1",
            "2.2",
            "2.3",
            "2.4",
            "2.7",
            "2.8",
            "7.1",
        ),  # where a busy machine makes longer pauses
        cause="short-read-timeout",
    )

    def read_exactly(self, connection: ClientSocket, count: int) -> bytes | None:
        received = b""
        while len(received) < count:
            in_a_frame = received or count != self.format.header_bytes
            if in_a_frame and not connection.wait_readable(0.3):  # BUG: a slow network is not the end
                return None
            piece = connection.recv(min(count - len(received), RECV_BYTES))
            if not piece:
                return None
            received += piece
        return received


class SaysItTwice(BufferedServer, FaultyServer):
    bug: Bug = Bug(
        "says-it-twice",
        summary="leaves a frame in the buffer that ends exactly where the buffer ends",
        works="The echo is right, and a client that sends one message and goes sees nothing of it.",
        shows="From the second message on every echo comes after that of the one before, again.",
        fix="Take a frame out of the buffer when the reply to it is made, wherever it ends.",
        source="Moblin, a frame at the end of the buffer was parsed again: "
        "https://github.com/eerimoq/moblin/pull/470",
        fails=(
            "1.1",
            "1.2",
            "1.3",
            "1.4",
            "1.5",
            "1.6",
            "1.7",
            "1.8",
            "1.9",
            "1.10",
            "1.11",
            "2.1",
            "2.2",
            "2.8",
            "3.1",
            "3.2",
            "3.3",
            "3.4",
            "3.6",
            "3.8",
            "4.6",
            "4.7",
            "4.8",
            "5.3",
            "5.4",
            "5.5",
            "6.2",
            "7.2",
            "7.3",
        ),
        may_fail=("3.5",),
        cause="reply-twice",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        buffer = bytearray()
        while data := connection.recv(RECV_BYTES):
            buffer += data
            while (frame := self.first_frame(buffer)) is not None:
                self.write_frame(connection, frame.payload)
                if frame.end == len(buffer):
                    break  # BUG: nothing is left, but the frame itself is
                del buffer[: frame.end]


class HalfHeader(BufferedServer, FaultyServer):
    bug: Bug = Bug(
        "half-header",
        summary="throws away the bytes of a header that is not complete",
        works=_ON_LOOPBACK,
        shows="After a cut in a header the rest of it is taken for the beginning of one.",
        fix="Keep them, and put what comes next behind them.",
        source="ttorrent, 3 of 4 bytes of a size thrown away: https://github.com/mpetazzoni/ttorrent/pull/40",
        fails=("2.1", "2.2", "2.3", "2.9", "7.1"),
        cause="header-taken-whole",
        needs=(TWO_BYTES,),
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        buffer = bytearray()
        while data := connection.recv(RECV_BYTES):
            buffer += data
            while (frame := self.first_frame(buffer)) is not None:
                self.write_frame(connection, frame.payload)
                del buffer[: frame.end]
            if self.format.size_in(buffer) is None:
                buffer.clear()  # BUG: these were the first bytes of a header

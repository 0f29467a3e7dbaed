"""For each cause a server that looks as if it had it, and has another fault: the cause must not be named.

The faulty servers prove that a cause is named where it should be; this is the reverse.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import pytest
import trio

from tests.support.check_servers import by_id
from tests.support.guard import guarded
from trioecho.check.book.book import select
from trioecho.check.runner.suite import Settings, Target, check
from trioecho.check.verdict import SuiteResult, Verdict
from trioecho.faulty.buffered import BufferedServer
from trioecho.faulty.header_format import RefusedError
from trioecho.faulty.honest import ClientSocket, EchoServer

LIMIT = 1 << 20
AT_A_TIME = 6


class CutsBesideOthers(EchoServer):
    """Cuts off payloads while it has more than a few connections: no byte is another's."""

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        is_busy = len(self.connections) > 3
        super().write_frame(connection, payload[: len(payload) // 2] if is_busy else payload)


class SmallLimit(EchoServer):
    """Refuses what is longer than 100 bytes."""

    def check_length(self, length: int) -> None:
        if length > 100:
            raise RefusedError(length)


class LimitOf16Bits(EchoServer):
    """Refuses what is longer than 65,535 bytes, and reads all of the header."""

    def check_length(self, length: int) -> None:
        if length > 65535:
            raise RefusedError(length)


class RefusesInWords(EchoServer):
    """Says why it refuses what is longer than 65,536 bytes."""

    most: int = 1 << 16

    def check_length(self, length: int) -> None:
        if length > self.most:
            raise RefusedError(length)

    def converse(self, connection: ClientSocket) -> None:
        try:
            self.echo_frames(connection)
        except RefusedError:
            self.write_frame(connection, b"error: that is too long")
        connection.finish()


class RefusesMoreInWords(RefusesInWords):
    """Says why it refuses what is longer than 1,000 bytes."""

    most = 1000


class RefusesInSilence(EchoServer):
    """Refuses a frame, and leaves the connection open."""

    def converse(self, connection: ClientSocket) -> None:
        try:
            self.echo_frames(connection)
        except RefusedError:
            while connection.recv(1 << 16):
                pass
        connection.finish()


class OneReply(EchoServer):
    """Answers one frame, and ends the connection."""

    def echo_frames(self, connection: ClientSocket) -> None:
        payload = self.read_frame(connection)
        if payload is not None:
            self.write_frame(connection, payload)


class IdleForAMoment(EchoServer):
    """Ends a connection that is idle for 60 ms, whatever others do."""

    def read_header(self, connection: ClientSocket) -> bytes | None:
        return super().read_header(connection) if connection.wait_readable(0.06) else None


class RefusesTheSeventh(EchoServer):
    """Serves six connections at a time, and ends any other at once: none waits."""

    def converse(self, connection: ClientSocket) -> None:
        if len(self.connections) > 6:
            connection.finish()
        else:
            super().converse(connection)


class LeavesWhenOthersCome(EchoServer):
    """Ends the oldest connection when a fourth comes."""

    def start(self, connection: ClientSocket) -> None:
        if len(self.connections) > 3:
            next(iter(self.connections)).cut_off()
        super().start(connection)


class Ticks(EchoServer):
    """Sends a frame of its own when nothing comes for 0.35 s."""

    def read_exactly(self, connection: ClientSocket, count: int) -> bytes | None:
        received = b""
        while len(received) < count:
            if not connection.wait_readable(0.35):
                self.write_frame(connection, b"tick")
                continue
            piece = connection.recv(count - len(received))
            if not piece:
                return None
            received += piece
        return received


class RefusesATail(BufferedServer):
    """Takes bytes behind a frame that are not a whole one for an error."""

    def echo_frames(self, connection: ClientSocket) -> None:
        buffer = bytearray()
        while data := connection.recv(1 << 16):
            buffer += data
            echoed = False
            while (frame := self.first_frame(buffer)) is not None:
                self.write_frame(connection, frame.payload)
                del buffer[: frame.end]
                echoed = True
            if echoed and buffer:
                return


class ResetsAtRefusal(EchoServer):
    """Ends with a reset when it refuses a frame, after the echoes before it."""

    def converse(self, connection: ClientSocket) -> None:
        try:
            self.echo_frames(connection)
            connection.finish()
        except RefusedError:
            connection.sock.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER


class ZeroesEmpty(EchoServer):
    """Answers an empty frame with one that has a zero byte in it."""

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        super().write_frame(connection, payload or b"\0")


class HundredReplies(EchoServer):
    """Ends a connection after a hundred replies."""

    def echo_frames(self, connection: ClientSocket) -> None:
        for _ in range(100):
            payload = self.read_frame(connection)
            if payload is None:
                return
            self.write_frame(connection, payload)


class DropsAtHalf(EchoServer):
    """Drops every echo of 200 bytes, wherever it comes: nobody need end a side for that."""

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        if len(payload) != 200:
            super().write_frame(connection, payload)


class SaysIt(EchoServer):
    """Adds a text to every reply."""

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        super().write_frame(connection, b"echo:" + payload)


class SendsBack(EchoServer):
    """Sends back what a receive gives."""

    def echo_frames(self, connection: ClientSocket) -> None:
        while data := connection.recv(1 << 16):
            connection.sendall(data)


class SendsWhatHasCome(EchoServer):
    """Sends back the first frame of a receive, or what has come of it."""

    def echo_frames(self, connection: ClientSocket) -> None:
        while data := connection.recv(1 << 16):
            connection.sendall(data[: 4 + int.from_bytes(data[:4], "big")])


class Slow(EchoServer):
    """Answers each frame after 45 ms, with or without a payload, in one piece."""

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        time.sleep(0.045)
        super().write_frame(connection, payload)


class RefusesLate(EchoServer):
    """Ends connections in turn after the first reply of each second one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.numbers: itertools.count[int] = itertools.count()
        self.lock: threading.Lock = threading.Lock()

    def echo_frames(self, connection: ClientSocket) -> None:
        with self.lock:
            number = next(self.numbers)
        if number % 2:
            super().echo_frames(connection)
        elif (payload := self.read_frame(connection)) is not None:
            self.write_frame(connection, payload)


class RepliesToTheLatest(EchoServer):
    """Sends what is longer than 100 bytes to the connection that was opened last: others get nothing."""

    latest: ClientSocket | None = None

    def start(self, connection: ClientSocket) -> None:
        self.latest = connection
        super().start(connection)

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        super().write_frame((len(payload) > 100 and self.latest) or connection, payload)


class StreamsLate(EchoServer):
    """Sends back what it has of a frame when no more has come for a moment, or the stream ends."""

    def echo_frames(self, connection: ClientSocket) -> None:
        while (unsent := self.read_header(connection)) is not None:
            left = self.decode_length(unsent)
            self.check_length(left)
            while left:
                if not connection.wait_readable(0.2):
                    connection.sendall(unsent)
                    unsent = b""
                piece = connection.recv(left)
                unsent += piece
                left -= len(piece) or left
            connection.sendall(unsent)


class StreamsWhatIsTooLong(EchoServer):
    """Sends back at once what does not fit into its buffer, and looks whole as long as frames are short."""

    def read_payload(self, connection: ClientSocket, length: int) -> bytes | None:
        if length <= 1 << 16:
            return super().read_payload(connection, length)
        connection.sendall(self.encode_length(length))
        while length:
            piece = connection.recv(min(length, 1 << 16))
            if not piece:
                return None
            connection.sendall(piece)
            length -= len(piece)
        return super().read_payload(connection, length)

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        if payload:
            super().write_frame(connection, payload)


# A server, the cases that it fails, what must not be named, and what is right where that can be known.
LOOKALIKES: list[tuple[type[EchoServer], str, set[str], set[str]]] = [
    (CutsBesideOthers, "3.2", {"shared-state", "connection-limit"}, set()),
    (SmallLimit, "1.3 1.8", {"text-decoding", "fixed-buffer", "short-length-field"}, {"limit-too-low"}),
    (LimitOf16Bits, "1.5 1.6 1.7", {"short-length-field", "fixed-buffer"}, {"limit-too-low"}),
    (RefusesInWords, "1.6 1.7 4.1 5.3", {"fixed-buffer", "streams-before-complete"}, {"refusal-said"}),
    (
        RefusesMoreInWords,
        "1.4 1.5 1.6 1.7 2.7",
        {"fixed-buffer", "recv-n-taken-for-n-bytes"},
        {"limit-too-low"},
    ),
    (RefusesInSilence, "4.1 4.2 4.3 4.5", {"no-limit", "limit-checked-late"}, {"refused-without-end"}),
    (
        OneReply,
        "1.1 1.2 1.8 1.10 1.11 2.3 2.5 3.1 3.2 3.3 4.6 4.8",
        {"one-parse-per-recv", "dies-on-reset"},
        {"one-reply"},
    ),
    (OneReply, "1.10", {"strips-whitespace", "text-decoding"}, {"one-reply"}),
    (OneReply, "2.5", {"one-parse-per-recv", "segment-taken-for-frame"}, {"one-reply"}),
    (IdleForAMoment, "5.4", {"error-ends-server", "dies-on-reset", "ends-others"}, set()),
    (RefusesTheSeventh, "3.2", {"single-threaded", "shared-state"}, {"connection-limit"}),
    (LeavesWhenOthersCome, "3.2", {"shared-state", "single-threaded", "one-reply"}, set()),
    (Ticks, "2.9", {"short-read-timeout", "recv-n-taken-for-n-bytes"}, {"speaks-unasked"}),
    (RefusesATail, "2.8", {"one-reply", "one-parse-per-recv"}, set()),
    (ResetsAtRefusal, "4.6", {"earlier-frames-lost", "last-reply-lost-at-half-close"}, set()),
    (
        ZeroesEmpty,
        "1.1",
        {"zero-length-taken-for-eof", "empty-frame-skipped"},
        {"zero-length-taken-for-heartbeat"},
    ),
    (HundredReplies, "3.1", {"one-reply", "one-parse-per-recv", "partial-send-ignored"}, set()),
    (DropsAtHalf, "3.2 5.4", {"last-reply-lost-at-half-close", "shared-state", "dies-on-reset"}, set()),
    *(
        (SaysIt, cases, {"segment-taken-for-frame", "zero-length-taken-for-eof"}, {"bytes-added"})
        for cases in ("1.1", "2.5", "3.3", "5.1", "5.6")
    ),
    *(
        (SendsBack, cases, {"drops-rest-of-segment", "length-overflow", "signed-length"}, set())
        for cases in ("2.8", "4.3", "4.5", "4.8")
    ),
    (SendsWhatHasCome, "4.3", {"length-overflow", "no-framing"}, {"streams-before-complete"}),
    (SendsWhatHasCome, "4.4 4.5", {"signed-length", "length-overflow"}, {"streams-before-complete"}),
    (SendsWhatHasCome, "1.12 2.5 5.3", {"no-framing"}, {"one-parse-per-recv", "streams-before-complete"}),
    (StreamsLate, "5.3", set(), {"streams-before-complete"}),
    (StreamsWhatIsTooLong, "5.3", set(), {"streams-before-complete"}),
    (RepliesToTheLatest, "3.2", {"connection-limit", "single-threaded"}, {"shared-state"}),
    (Slow, "3.8", {"nagle-delayed-ack"}, set()),
    (RefusesLate, "5.6 1.11", {"leaks-connections", "ends-with-reset"}, set()),
]


async def causes_of(server_class: type[EchoServer], cases: str) -> list[str]:
    return [cause.id for cause in (await checked(server_class, cases)).causes]


async def checked(server_class: type[EchoServer], cases: str, limit: int | None = LIMIT) -> SuiteResult:
    server = server_class()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, server.serve)
        try:
            settings = Settings(max_frame_length=limit)
            return await check(
                Target("lookalike", server.address), settings, rules=select(cases.split()), jobs=1
            )
        finally:
            server.stop()


@pytest.mark.slow
async def test_no_cause_is_named_for_a_server_that_only_looks_like_it() -> None:
    wrong: list[str] = []
    limiter = trio.CapacityLimiter(AT_A_TIME)

    async def judge(server_class: type[EchoServer], cases: str, never: set[str], right: set[str]) -> None:
        async with limiter:
            named = set(await causes_of(server_class, cases))
        if named & never or (right and named != right):
            wrong.append(f"{server_class.__name__} ({cases}): {sorted(named)}, not {sorted(right or never)}")

    with guarded(120):
        async with trio.open_nursery() as nursery:
            for row in LOOKALIKES:
                nursery.start_soon(judge, *row)
    assert not wrong, "\n".join(wrong)


async def test_a_small_limit_that_was_given_is_no_fault() -> None:
    with guarded():
        result = await checked(SmallLimit, "1.2 1.7 1.8 1.10 5.3", limit=100)
    assert [case.verdict for case in by_id(result).values()] == [Verdict.PASS] * 5


async def test_a_limit_that_was_not_given_is_refused_in_words() -> None:
    with guarded():
        result = await checked(RefusesInWords, "1.6 1.7 5.3", limit=None)
    cases = by_id(result)
    assert {rule_id: case.verdict for rule_id, case in cases.items()} == {
        "1.6": Verdict.PASS,
        "1.7": Verdict.WARN,
        "5.3": Verdict.PASS,
    }
    assert [cause.id for cause in result.causes] == ["refusal-said"]
    assert "if its limit is lower, give it with --max-frame-length" in cases["1.7"].actual

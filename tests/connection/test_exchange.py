"""The exchange alone, with bytes and numbers: what it sends, what it waits for, and until when."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio

from tests.support.wire import frame, frames, header
from trioecho import (
    ConnectionLostError,
    FrameFormat,
    FrameTimeoutError,
    FrameTooLargeError,
    IdleTimeoutError,
    IncompleteFrameError,
    Limits,
    WriteTimeoutError,
)
from trioecho.connection.exchange import Exchange
from trioecho.connection.interest import Interest, Use
from trioecho.connection.receiving import SMALL_BYTES
from trioecho.connection.sending import Wire

IDLE_S, FRAME_S, WRITE_S = 300.0, 60.0, 30.0
HELLO = frame(b"hello")


class Play:
    """An exchange and the time; every step is at a time that is told with it.

    Attributes:
      exchange: the one that plays.
      reports: what it reported of its sends: messages, bytes, seconds blocked, service time.
    """

    def __init__(self, use: Use = Use.ECHO, *, capacity: int = 1 << 20, **limits: Any) -> None:
        clocks = {"idle_timeout_s": IDLE_S, "frame_timeout_s": FRAME_S, "write_timeout_s": WRITE_S}
        self.reports: list[tuple[int, int, float, float | None]] = []
        self.exchange = Exchange(
            format=FrameFormat(),
            limits=Limits(**{**clocks, **limits}),
            receive_capacity=lambda: capacity,
            now=0.0,
            on_sent=lambda *report: self.reports.append(report),
        )
        self.use = use
        self.exchange.start(use, 0.0)

    def receive(self, at: float, data: bytes | memoryview) -> bytes | None:
        """What is to be sent for it."""
        return None if self.exchange.receive(data, at) is None else bytes(self.exchange.unsent_bytes)

    def accept(self, at: float, count: int | None = None) -> bytes | None:
        """The kernel accepts that many bytes, or all; return what is to be sent next at once."""
        wire = self.exchange.sent(len(self.exchange.unsent) if count is None else count, at)
        return None if wire is None else bytes(self.exchange.unsent_bytes)

    def echo(self, at: float, wire: bytes) -> None:
        assert self.receive(at, wire) == wire
        assert self.accept(at) is None

    @property
    def waits(self) -> tuple[Interest, float]:
        """What it waits for, and until when."""
        return self.exchange.interest, self.exchange.deadline


FOREVER = math.inf
READABLE, WRITABLE, ARRIVED, LAST_CHANCE = (
    Interest.READABLE,
    Interest.WRITABLE,
    Interest.ARRIVED,
    Interest.LAST_CHANCE,
)
MESSAGES, ENDED, NOTHING = Interest.MESSAGES, Interest.ENDED, Interest.NOTHING


# ---- echoing ----


def test_at_the_beginning_it_waits_for_a_frame_to_begin() -> None:
    assert Play().waits == (READABLE, IDLE_S)


@pytest.mark.parametrize(
    ("wire", "count"),
    [(HELLO, 1), (frame(b""), 1), (frames(b"one", b"", b"three"), 3), (frame(bytes(SMALL_BYTES)), 1)],
)
def test_whole_frames_are_sent_at_once_and_the_idle_clock_begins_anew(wire: bytes, count: int) -> None:
    play = Play()
    for at in (10.0, 20.0, 30.0):
        assert play.receive(at, wire) == wire
        assert play.accept(at + 0.5) is None
        assert play.waits == (READABLE, at + 0.5 + IDLE_S)
    assert play.reports == [(count, len(wire), 0.0, 0.5)] * 3


def test_of_a_frame_that_is_cut_nothing_is_sent_before_it_is_whole() -> None:
    play = Play()
    for number, byte in enumerate(HELLO[:-1]):
        assert play.receive(10.0 + number, bytes([byte])) is None
        assert play.waits == (READABLE, 10.0 + FRAME_S)  # a byte now and then does not reset it
    assert play.receive(40.0, HELLO[-1:]) == HELLO
    assert play.accept(41.0) is None
    assert play.waits == (READABLE, 41.0 + IDLE_S)
    assert play.reports == [(1, 9, 0.0, 1.0)]


def test_whole_frames_do_not_wait_for_one_that_has_only_begun() -> None:
    play = Play()
    assert play.receive(10.0, frames(b"one", b"two") + HELLO[:6]) == frames(b"one", b"two")
    assert play.accept(11.0) is None
    assert play.waits == (READABLE, 11.0 + FRAME_S)
    assert play.receive(12.0, HELLO[6:] + frame(b"four")) == HELLO
    assert play.accept(13.0) == frame(b"four")  # in a piece of its own, but at once
    assert play.accept(13.0) is None
    assert play.reports == [(2, 14, 0.0, 1.0), (2, 17, 0.0, 1.0)]


def test_the_rest_of_a_large_frame_is_received_in_place() -> None:
    play = Play()
    wire = frame(bytes(range(250)) * 2800)
    assert play.receive(1.0, wire[:300_000]) is None
    position = 300_000
    while position < len(wire):
        buffer = play.exchange.decoder.get_buffer()
        assert buffer is not None
        data = wire[position : position + min(len(buffer), 100_000)]
        buffer[: len(data)] = data
        position += len(data)
        sent = play.receive(2.0, buffer[: len(data)])
    assert sent is not None
    received = sent
    while (sent := play.accept(3.0)) is not None:
        received += sent
    assert received == wire
    assert play.reports == [(1, len(wire), 0.0, 1.0)]


def test_the_memory_of_a_large_frame_is_used_again_once_its_echo_is_accepted() -> None:
    play = Play()
    wire = frame(bytes(500_000))
    used = []
    for at in (1.0, 2.0):
        play.receive(at, wire[:300_000])
        buffer = play.exchange.decoder.get_buffer()
        assert buffer is not None
        used.append(buffer.obj)
        next_piece = play.receive(at, wire[300_000:])
        while next_piece is not None:
            next_piece = play.accept(at)
    assert used[0] is used[1]


def test_a_frame_over_the_limit_is_refused_after_those_before_it_were_sent() -> None:
    play = Play(max_frame_length=5)
    assert play.receive(1.0, HELLO + header(6) + b"x") == HELLO
    with pytest.raises(FrameTooLargeError):
        play.accept(1.0)
    assert play.reports == [(1, 9, 0.0, 0.0)]
    with pytest.raises(FrameTooLargeError):
        play.exchange.start(Use.ECHO, 2.0)


def test_what_follows_on_small_frames_is_not_taken_for_a_first_frame() -> None:
    play = Play()
    play.echo(1.0, HELLO)
    with pytest.raises(FrameTooLargeError) as refused:
        play.receive(2.0, b"GET / HTTP/1.1\r\n\r\n")
    fresh = Play()
    with pytest.raises(FrameTooLargeError) as refused_at_once:
        fresh.receive(2.0, b"GET / HTTP/1.1\r\n\r\n")
    assert play.exchange.decoder.frames_decoded == 1
    assert refused_at_once.value.length == refused.value.length


# ---- the end of the stream ----


def test_the_end_between_frames_is_the_end() -> None:
    play = Play()
    play.echo(1.0, HELLO)
    assert play.receive(2.0, b"") is None
    assert play.waits == (ENDED, FOREVER)
    assert play.exchange.has_received_eof


@pytest.mark.parametrize("part", range(1, 9))
def test_the_end_inside_a_frame_is_an_error_and_no_part_of_it_is_sent(part: int) -> None:
    play = Play()
    assert play.receive(1.0, HELLO[:part]) is None
    with pytest.raises(IncompleteFrameError):
        play.receive(2.0, b"")
    assert play.reports == []


def test_the_end_while_frames_are_on_their_way_does_not_stop_them() -> None:
    play = Play()
    assert play.receive(1.0, HELLO) == HELLO
    assert play.accept(1.0, 3) is None
    assert play.waits[0] is WRITABLE
    play.exchange.begin_block(1.0)
    assert play.accept(2.0) is None
    assert play.receive(2.0, b"") is None
    assert play.waits == (ENDED, FOREVER)


# ---- sends that are blocked ----


def test_what_is_not_accepted_is_waited_for_within_the_write_clock_and_is_not_service_time() -> None:
    play = Play()
    assert play.receive(10.0, HELLO) == HELLO
    assert play.accept(11.0, 4) is None
    play.exchange.begin_block(11.0)
    assert play.waits == (WRITABLE, 11.0 + WRITE_S)
    assert bytes(play.exchange.unsent_bytes) == HELLO[4:]
    assert play.accept(15.0, 0) is None
    play.exchange.begin_block(16.0)
    assert play.waits == (WRITABLE, 11.0 + WRITE_S)  # nothing was accepted: the clock goes on
    assert play.accept(20.0, 1) is None
    play.exchange.begin_block(21.0)
    assert play.waits == (WRITABLE, 21.0 + WRITE_S)  # a byte was
    assert play.accept(30.0) is None
    assert play.waits == (READABLE, 30.0 + IDLE_S)
    blocked_s = (15 - 11) + (20 - 16) + (30 - 21)
    assert play.reports == [(1, 9, blocked_s, 20.0 - blocked_s)]


def test_when_the_write_clock_has_run_out_and_nothing_was_accepted_the_connection_ends() -> None:
    play = Play()
    play.receive(0.0, HELLO)
    play.accept(0.0, 0)
    play.exchange.begin_block(0.0)
    play.accept(WRITE_S, 0)
    with pytest.raises(WriteTimeoutError):
        play.exchange.begin_block(WRITE_S)
    play.exchange.give_up(WRITE_S)
    assert play.exchange.is_unfinished


def test_the_service_time_of_an_echo_has_nothing_of_earlier_blocks_in_it() -> None:
    # Every send takes a second, and the first of each frame is blocked for an hour.
    play = Play(write_timeout_s=0)
    now = 0.0
    for _ in range(3):
        assert play.receive(now, HELLO) == HELLO
        play.accept(now + 1, 5)
        play.exchange.begin_block(now + 1)
        play.accept(now + 3602)
        now += 10_000
    assert play.reports == [(1, 9, 3601.0, 1.0)] * 3


def test_what_lies_where_others_will_be_received_is_copied_before_a_wait() -> None:
    play = Play()
    shared = bytearray(HELLO + bytes(20))
    assert play.receive(1.0, memoryview(shared)[:9]) == HELLO
    play.accept(1.0, 2)
    play.exchange.begin_block(1.0)
    shared[:] = bytes(len(shared))
    assert bytes(play.exchange.unsent_bytes) == HELLO[2:]


def test_after_a_failed_send_no_byte_follows() -> None:
    play = Play()
    assert play.receive(1.0, frames(b"one", b"two")) is not None
    play.accept(1.0, 10)
    play.exchange.give_up(2.0)
    assert play.reports == [(1, 7, 0.0, 1.0)]  # the first frame was accepted whole
    assert play.exchange.unsent == b""
    with pytest.raises(ConnectionLostError):
        play.exchange.begin_sending()
    with pytest.raises(ConnectionLostError):
        play.receive(3.0, HELLO)


def test_a_send_that_fails_at_rest_tears_the_connection_too() -> None:
    play = Play()
    assert play.receive(1.0, HELLO) == HELLO
    play.exchange.give_up(1.0)
    assert play.exchange.is_unfinished
    with pytest.raises(ConnectionLostError):
        play.exchange.begin_sending()


def test_nothing_is_torn_where_nothing_was_on_its_way() -> None:
    play = Play()
    play.echo(1.0, HELLO)
    play.exchange.give_up(2.0)
    assert not play.exchange.is_unfinished
    play.exchange.begin_sending()


@pytest.mark.parametrize("before", [b"", HELLO[:3]])
def test_an_echo_never_comes_between_the_bytes_of_another_send(before: bytes) -> None:
    play = Play()
    play.exchange.begin_sending()
    play.exchange.queue([frame(b"of a task")], 1)
    play.accept(1.0, 5)
    if before:
        assert play.receive(1.0, before) is None
    with pytest.raises(trio.BusyResourceError):
        play.receive(1.0, HELLO[len(before) :])
    play.exchange.give_up(1.0)  # which is not for what the task sends
    assert bytes(play.exchange.unsent_bytes) == frame(b"of a task")[5:]
    play.accept(2.0)
    assert not play.exchange.is_unfinished


# ---- clocks ----


def test_the_frame_clock_stands_still_while_nobody_listens() -> None:
    play = Play()
    play.receive(10.0, HELLO[:5])
    play.exchange.stop(20.0)
    assert play.waits == (NOTHING, FOREVER)
    play.exchange.start(Use.ECHO, 1000.0)
    assert play.waits == (READABLE, 1000.0 + FRAME_S - 10.0)


def test_the_idle_clock_begins_anew_when_somebody_listens_again() -> None:
    play = Play()
    play.exchange.stop(20.0)
    play.exchange.start(Use.ECHO, 1000.0)
    assert play.waits == (READABLE, 1000.0 + IDLE_S)


def test_clocks_that_are_off_never_run_out() -> None:
    play = Play(idle_timeout_s=0, frame_timeout_s=0, write_timeout_s=0)
    assert play.waits == (READABLE, FOREVER)
    play.receive(1.0, HELLO[:5])
    assert play.waits == (READABLE, FOREVER)
    play.receive(2.0, HELLO[5:])
    play.accept(2.0, 0)
    play.exchange.begin_block(2.0)
    assert play.waits == (WRITABLE, FOREVER)


@pytest.mark.parametrize(("part", "error"), [(b"", IdleTimeoutError), (HELLO[:6], FrameTimeoutError)])
def test_when_a_clock_has_run_out_the_connection_ends_only_if_nothing_has_arrived(
    part: bytes, error: type[Exception]
) -> None:
    play = Play()
    if part:
        play.receive(0.0, part)
    play.exchange.deadline_passed()
    assert play.waits == (LAST_CHANCE, FOREVER)
    with pytest.raises(error):
        play.exchange.nothing_arrived()


@pytest.mark.parametrize("part", [b"", HELLO[:6]])
def test_what_has_arrived_before_a_look_counts_and_the_clock_begins_anew(part: bytes) -> None:
    play = Play()
    for at in (1000.0, 2000.0, 3000.0):  # again and again
        if part:
            play.receive(at - 500, part)
        play.exchange.deadline_passed()
        assert play.receive(at, HELLO[len(part) :]) == HELLO
        assert play.accept(at) is None
        assert play.waits == (READABLE, at + IDLE_S)


def test_a_frame_that_is_late_gets_what_had_arrived_and_no_more() -> None:
    play = Play(capacity=100)
    wire = frame(bytes(1000))
    play.receive(0.0, wire[:200])
    play.exchange.deadline_passed()
    for end in (250, 300):  # it may all have been here
        assert play.receive(FRAME_S + 1, wire[end - 50 : end]) is None
        assert play.waits == (LAST_CHANCE, FOREVER)
    play.receive(FRAME_S + 1, wire[300:350])
    with pytest.raises(FrameTimeoutError):
        play.receive(FRAME_S + 1, wire[350:351])


def test_a_look_is_only_for_who_waits_to_receive() -> None:
    play = Play()
    play.receive(0.0, HELLO)
    play.accept(0.0, 1)
    play.exchange.deadline_passed()
    assert play.exchange.interest is WRITABLE


# ---- drains ----


def test_a_drain_ends_a_connection_at_rest_when_nothing_has_arrived() -> None:
    play = Play()
    play.echo(1.0, HELLO)
    play.exchange.drain()
    assert play.waits == (ARRIVED, FOREVER)
    play.exchange.nothing_arrived()
    assert play.waits == (ENDED, FOREVER)


def test_a_drain_echoes_what_has_arrived() -> None:
    play = Play()
    play.exchange.drain()
    for at in (1.0, 2.0):
        assert play.receive(at, HELLO) == HELLO
        assert play.accept(at) is None
        assert play.waits == (ARRIVED, FOREVER)
    play.exchange.nothing_arrived()
    assert play.waits == (ENDED, FOREVER)
    assert sum(messages for messages, *_ in play.reports) == 2


@pytest.mark.parametrize("begun", ["before", "with what has arrived"])
def test_a_drain_waits_for_the_frame_that_has_begun_and_for_no_other(begun: str) -> None:
    play = Play()
    if begun == "before":
        play.receive(1.0, HELLO[:2])
        play.exchange.drain()
    else:
        play.exchange.drain()
        assert play.receive(1.0, frame(b"whole") + HELLO[:2]) == frame(b"whole")
        play.accept(1.0)
    assert play.exchange.interest is ARRIVED
    play.exchange.nothing_arrived()
    assert play.waits == (READABLE, 1.0 + FRAME_S)
    assert play.receive(2.0, HELLO[2:4]) is None
    assert play.waits == (READABLE, 1.0 + FRAME_S)
    assert play.receive(3.0, HELLO[4:] + HELLO[:3]) == HELLO
    assert play.accept(3.0) is None
    assert play.waits == (ENDED, FOREVER)


def test_a_drain_receives_no_more_than_can_have_arrived() -> None:
    play = Play(capacity=20)
    play.exchange.drain()
    for _ in range(3):
        assert play.exchange.interest is ARRIVED
        play.echo(1.0, HELLO)
    assert play.waits == (ENDED, FOREVER)


def test_a_drain_while_a_send_is_blocked_sends_the_rest_and_then_looks() -> None:
    play = Play()
    play.receive(1.0, HELLO)
    play.accept(1.0, 3)
    play.exchange.begin_block(1.0)
    play.exchange.drain()
    assert play.waits == (WRITABLE, 1.0 + WRITE_S)
    assert play.accept(2.0) is None
    assert play.waits == (ARRIVED, FOREVER)


def test_a_drain_of_a_peer_that_has_ended_ends() -> None:
    play = Play()
    play.receive(1.0, b"")
    play.exchange.drain()
    assert play.waits == (ENDED, FOREVER)


# ---- messages to a task, and its replies ----


def test_messages_are_taken_and_replied_to() -> None:
    play = Play(Use.REPLY)
    for at in (10.0, 20.0, 30.0):
        assert play.receive(at, frames(b"one", b"two")) is None
        assert play.waits == (MESSAGES, FOREVER)
        assert play.exchange.take_messages() == [b"one", b"two"]
        assert play.waits == (NOTHING, FOREVER)
        play.exchange.reply(frames(b"1", b"2"), 2)
        assert play.exchange.resume(at + 1) == frames(b"1", b"2")
        assert play.accept(at + 2) is None
        assert play.waits == (READABLE, at + 2 + IDLE_S)
    assert play.reports == [(2, 10, 0.0, 2.0)] * 3


def test_a_task_that_replies_nothing_waits_for_the_next_message() -> None:
    play = Play(Use.REPLY)
    play.receive(10.0, HELLO)
    play.exchange.take_messages()
    assert play.exchange.resume(12.0) is None
    assert play.waits == (READABLE, 12.0 + IDLE_S)


@pytest.mark.parametrize("whole", [b"", frame(b"whole")])
def test_a_message_that_is_cut_is_completed(whole: bytes) -> None:
    play = Play(Use.REPLY)
    play.receive(10.0, whole + HELLO[:7])
    if whole:
        assert play.exchange.take_messages() == [b"whole"]
        assert play.exchange.resume(10.0) is None
    assert play.waits == (READABLE, 10.0 + FRAME_S)
    play.receive(20.0, HELLO[7:])
    assert play.exchange.take_messages() == [b"hello"]


def test_messages_that_no_task_has_taken_are_there_for_the_next() -> None:
    play = Play(Use.REPLY)
    play.receive(1.0, frames(b"one", b"two") + HELLO[:5])
    play.exchange.stop(2.0)
    assert play.waits == (NOTHING, FOREVER)
    play.exchange.start(Use.REPLY, 3.0)
    assert play.exchange.take_messages() == [b"one", b"two"]
    play.exchange.resume(4.0)
    play.receive(5.0, HELLO[5:])
    assert play.exchange.take_messages() == [b"hello"]


def test_a_reply_that_is_not_accepted_is_sent_when_there_is_room() -> None:
    play = Play(Use.REPLY)
    play.receive(10.0, HELLO)
    play.exchange.take_messages()
    play.exchange.reply(frame(b"reply"), 1)
    assert play.exchange.resume(11.0) == frame(b"reply")
    assert play.accept(11.0, 0) is None
    play.exchange.begin_block(11.0)
    assert play.waits == (WRITABLE, 11.0 + WRITE_S)
    assert play.accept(15.0) is None
    assert play.waits == (READABLE, 15.0 + IDLE_S)
    assert play.reports == [(1, 9, 4.0, 1.0)]


def test_a_reply_that_waits_is_sent_by_the_task_if_it_does_not_resume() -> None:
    play = Play(Use.REPLY)
    play.receive(10.0, HELLO)
    play.exchange.take_messages()
    play.exchange.reply(frame(b"reply"), 1)
    play.exchange.queue_reply()
    assert play.exchange.has_reply_to_send
    assert play.accept(11.0, 4) is None
    assert play.exchange.has_reply_to_send
    assert play.exchange.resume(11.0) == frame(b"reply")[4:]  # it may go on after all
    assert play.accept(12.0) is None
    assert not play.exchange.has_reply_to_send
    assert play.waits == (READABLE, 12.0 + IDLE_S)


def test_a_reply_does_not_go_between_the_bytes_of_what_another_task_sends() -> None:
    play = Play(Use.REPLY)
    play.receive(10.0, HELLO)
    play.exchange.take_messages()
    play.exchange.begin_sending()
    play.exchange.queue([frame(b"of a task")], 1)
    play.accept(11.0, 1)
    play.exchange.reply(frame(b"reply"), 1)
    with pytest.raises(trio.BusyResourceError):
        play.exchange.resume(12.0)


# ---- a task that takes frames by itself ----


def test_a_task_is_told_when_there_is_a_frame_or_the_end() -> None:
    play = Play(Use.TAKE)
    play.receive(1.0, HELLO[:3])
    assert play.waits == (READABLE, 1.0 + FRAME_S)
    play.receive(2.0, HELLO[3:])
    assert play.waits == (MESSAGES, FOREVER)
    assert play.exchange.decoder.next_frame() == b"hello"
    play.exchange.stop(3.0)
    play.exchange.start(Use.TAKE, 4.0)
    assert play.waits == (READABLE, 4.0 + IDLE_S)
    play.receive(5.0, b"")
    assert play.waits == (ENDED, FOREVER)


def test_what_a_task_sends_unasked_has_no_service_time() -> None:
    play = Play(Use.TAKE)
    play.exchange.begin_sending()
    play.exchange.queue([HELLO], 1)
    play.accept(5.0)
    assert play.reports == [(1, 9, 0.0, None)]


@pytest.mark.parametrize("wait", [READABLE, ARRIVED, LAST_CHANCE])
def test_what_a_task_sends_while_more_is_waited_for_has_no_service_time(wait: Interest) -> None:
    play = Play(Use.TAKE)
    play.receive(1.0, HELLO)
    assert play.exchange.decoder.next_frame() == b"hello"
    play.exchange.start(Use.TAKE, 1.0)
    if wait is ARRIVED:
        play.exchange.drain()
    elif wait is LAST_CHANCE:
        play.exchange.deadline_passed()
    assert play.exchange.interest is wait
    play.exchange.send_for_task([frame(b"broadcast")], 1)
    play.accept(601.0)
    assert play.reports == [(1, 13, 0.0, None)]


def test_what_a_task_sends_before_it_waits_for_more_has_a_service_time() -> None:
    play = Play(Use.TAKE)
    for at in (10.0, 20.0):
        play.receive(at, HELLO)
        assert play.exchange.decoder.next_frame() == b"hello"
        play.exchange.stop(at)
        play.exchange.send_for_task([frame(b"reply")], 1)
        play.accept(at + 2)
        play.exchange.start(Use.TAKE, at + 2)
        play.exchange.send_for_task([frame(b"broadcast")], 1)
        play.accept(at + 5)
    assert play.reports == [(1, 9, 0.0, 2.0), (1, 13, 0.0, None)] * 2


@pytest.mark.parametrize("use", [Use.ECHO, Use.REPLY])
def test_what_another_task_sends_between_replies_has_no_service_time_and_they_have(use: Use) -> None:
    play = Play(use)
    for at, cut in ((10.0, 0), (20.0, 5)):
        if cut:
            play.receive(at - 1, HELLO[:cut])
        sendable: Wire | None = play.receive(at, HELLO[cut:])
        if use is Use.REPLY:
            play.exchange.take_messages()
            play.exchange.reply(HELLO, 1)
            sendable = play.exchange.resume(at)
        assert sendable == HELLO
        play.accept(at + 1)
        play.exchange.send_for_task([frame(b"broadcast")], 1)
        play.accept(at + 5)
    assert play.reports == [(1, 9, 0.0, 1.0), (1, 13, 0.0, None)] * 2


def test_of_a_block_that_began_before_something_was_received_only_the_rest_is_taken_off() -> None:
    play = Play(Use.TAKE)
    for began in (0.0, 100.0):
        play.exchange.begin_sending()
        play.exchange.queue([frame(b"of a task")], 1)
        play.accept(began, 1)
        play.exchange.begin_block(began)
        play.receive(began + 10, HELLO)
        play.accept(began + 15)
        assert play.exchange.decoder.next_frame() == b"hello"
        play.exchange.start(Use.TAKE, began + 16)
    assert play.reports == [(1, 13, 15.0, 0.0)] * 2


@pytest.mark.parametrize("is_ended", [False, True])
def test_after_a_half_close_nothing_is_sent_unless_it_failed(is_ended: bool) -> None:
    play = Play(Use.TAKE)
    play.exchange.begin_sending()
    play.exchange.end_stream(is_ended=is_ended)
    if is_ended:
        with pytest.raises(trio.ClosedResourceError):
            play.exchange.begin_sending()
    else:
        play.exchange.begin_sending()
    play.exchange.close()
    with pytest.raises(trio.ClosedResourceError):
        play.exchange.begin_sending()

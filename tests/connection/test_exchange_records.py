"""The exchange and records of TLS that have come in part: what counts as begun, and until when."""

from __future__ import annotations

import math

import pytest

from tests.connection.test_exchange import (
    ARRIVED,
    ENDED,
    FRAME_S,
    HELLO,
    IDLE_S,
    LAST_CHANCE,
    READABLE,
    WRITABLE,
    WRITE_S,
    Play,
)
from tests.support.wire import frame
from trioecho import FrameTimeoutError, IdleTimeoutError
from trioecho.connection.interest import Use


def test_a_record_that_has_come_in_part_is_under_the_frame_clock() -> None:
    play = Play()
    play.exchange.note_record(True, 10.0)
    assert play.waits == (READABLE, 10 + FRAME_S)
    play.exchange.note_record(True, 30.0)  # more of it has come
    assert play.waits == (READABLE, 10 + FRAME_S)
    play.exchange.deadline_passed()
    assert play.waits == (LAST_CHANCE, math.inf)
    with pytest.raises(FrameTimeoutError, match=r"\(frame timeout\): only a part of a TLS record has come$"):
        play.exchange.nothing_arrived()


def test_a_frame_in_it_has_begun_when_the_record_had() -> None:
    play = Play()
    play.exchange.note_record(True, 10.0)
    assert play.receive(50.0, HELLO[:-1]) is None
    assert play.waits == (READABLE, 10 + FRAME_S)
    assert play.receive(65.0, HELLO[-1:]) == HELLO
    assert play.accept(65.0) is None
    assert play.waits == (READABLE, 65 + IDLE_S)


def test_a_frame_that_is_late_does_not_hide_behind_a_part_of_a_record() -> None:
    play = Play()
    play.receive(0.0, HELLO[:3])
    play.exchange.note_record(True, 50.0)
    assert play.waits == (READABLE, FRAME_S)
    assert play.receive(55.0, HELLO[3:5]) is None
    play.exchange.note_record(True, 55.0)
    assert play.waits == (READABLE, FRAME_S)


@pytest.mark.parametrize("use", [Use.ECHO, Use.TAKE])
def test_behind_whole_frames_the_next_one_begins_with_a_part_of_a_record(use: Use) -> None:
    play = Play(use)
    if use is Use.ECHO:
        play.echo(10.0, HELLO)
        play.exchange.note_record(True, 10.0)
        assert play.waits == (READABLE, 10 + FRAME_S)
        play.echo(20.0, HELLO)  # the record is whole, and none has begun behind it
        assert play.waits == (READABLE, 20 + IDLE_S)
    else:
        play.receive(10.0, HELLO)
        play.exchange.note_record(True, 10.0)
        play.exchange.stop(10.0)
        assert play.exchange.decoder.next_frame() == b"hello"
        play.exchange.start(use, 30.0)  # time in which nobody listens does not count
        assert play.waits == (READABLE, 30 + FRAME_S)
        play.exchange.stop(40.0)
        play.exchange.start(use, 70.0)
        assert play.waits == (READABLE, 70 + FRAME_S - 10)


def test_it_counts_from_when_this_side_listens_again() -> None:
    play = Play()
    assert play.receive(10.0, HELLO) == HELLO
    play.accept(10.0, 3)
    play.exchange.begin_block(10.0)
    play.exchange.note_record(True, 10.0)
    assert play.waits == (WRITABLE, 10 + WRITE_S)
    play.accept(25.0)
    assert play.waits == (READABLE, 25 + FRAME_S)


def test_records_without_data_leave_the_idle_clock_as_it_was() -> None:
    play = Play()
    play.echo(10.0, HELLO)
    for at in range(11, 300, 20):
        play.exchange.note_record(True, at)
        assert play.waits == (READABLE, at + FRAME_S)
        play.exchange.note_record(False, at + 10)
        assert play.waits == (READABLE, 10 + IDLE_S)
    play.exchange.note_record(True, 300.0)
    assert play.exchange.deadline_without_record(300.0) == 310
    assert play.exchange.deadline_without_record(310.0) == math.inf
    play.exchange.note_record(False, 340.0)
    assert play.waits == (LAST_CHANCE, math.inf)
    with pytest.raises(IdleTimeoutError):
        play.exchange.nothing_arrived()


def test_what_begins_when_the_idle_clock_has_run_out_has_begun() -> None:
    play = Play()
    play.exchange.deadline_passed()
    play.exchange.note_record(True, IDLE_S)
    assert play.waits == (READABLE, IDLE_S + FRAME_S)
    play.exchange.deadline_passed()
    play.echo(IDLE_S + FRAME_S, HELLO)
    assert play.waits == (READABLE, 2 * IDLE_S + FRAME_S)


def test_the_next_frame_has_a_clock_of_its_own_after_a_record_without_data() -> None:
    play = Play()
    play.exchange.note_record(True, 10.0)
    play.exchange.note_record(False, 20.0)
    assert play.receive(30.0, HELLO[:3]) is None
    assert play.waits == (READABLE, 30 + FRAME_S)


# ---- the drain ----


def test_a_drain_waits_for_a_record_that_has_begun_and_for_the_frame_in_it() -> None:
    play = Play()
    play.exchange.note_record(True, 10.0)
    play.exchange.drain()
    assert play.waits == (ARRIVED, math.inf)
    play.exchange.nothing_arrived()
    assert play.waits == (READABLE, 10 + FRAME_S)
    two = frame(b"two")
    assert play.receive(20.0, HELLO + two[:3]) == HELLO
    assert play.accept(20.0) is None
    play.exchange.note_record(True, 20.0)  # of one that has begun since then
    assert play.waits == (READABLE, 20 + FRAME_S)
    assert play.receive(30.0, two[3:] + HELLO[:3]) == two
    assert play.accept(30.0) is None
    assert play.waits == (ENDED, math.inf)


def test_a_drain_does_not_wait_for_a_record_that_begins_behind_that_one() -> None:
    play = Play()
    play.exchange.note_record(True, 10.0)
    play.exchange.drain()
    play.exchange.nothing_arrived()
    play.echo(20.0, HELLO)
    assert play.waits == (ENDED, math.inf)
    play.exchange.note_record(True, 20.0)
    assert play.waits == (ENDED, math.inf)


def test_a_record_that_comes_while_a_drain_looks_has_arrived() -> None:
    play = Play()
    play.exchange.drain()
    play.exchange.note_record(True, 10.0)
    assert play.waits == (ARRIVED, math.inf)
    play.exchange.nothing_arrived()
    assert play.waits == (READABLE, 10 + FRAME_S)
    play.exchange.note_record(False, 20.0)  # it had no data
    assert play.waits == (ENDED, math.inf)


def test_in_a_drain_too_a_record_is_late() -> None:
    play = Play()
    play.exchange.note_record(True, 10.0)
    play.exchange.drain()
    play.exchange.nothing_arrived()
    play.exchange.deadline_passed()
    with pytest.raises(FrameTimeoutError):
        play.exchange.nothing_arrived()

"""The exchange and pipes: the rest of large frames in them, the way out, and the way back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connection.test_exchange_model import DONE, FRAME_S, IDLE_S, WRITE_S, Both
from tests.support.examples import examples
from tests.support.wire import frame
from trioecho import FrameFormat, FrameTimeoutError, IncompleteFrameError, Limits
from trioecho.connection import exchange as exchange_module
from trioecho.connection.exchange import Exchange
from trioecho.connection.interest import Interest, Use
from trioecho.connection.sending import PipedBytes

# Less than it is, so that there can be more examples.
LEAST = 96 << 10
LARGE = frame(bytes(4 * LEAST))
large = st.lists(st.sampled_from((0, 30, LEAST, 4 * LEAST)), min_size=1, max_size=4)


@pytest.fixture(autouse=True, scope="module")
def least_piped_bytes() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange_module, "LEAST_PIPED_BYTES", LEAST)
        yield


# ---- beside the model ----


@given(large, st.sampled_from(["all", "end", "cancelled"]), st.data())
@examples(400)
def test_what_lies_in_pipes_is_echoed_or_comes_back(
    lengths: list[int], ending: str, data: st.DataObject
) -> None:
    both = Both(lengths, capacity=1 << 20)
    model, exchange = both.model, both.exchange
    end = len(model.wire) if ending == "all" else data.draw(st.integers(0, len(model.wire)), "end")
    while model.come < end or (exchange.interest is Interest.WRITABLE and ending != "cancelled"):
        both.check()
        if both.pipes and data.draw(st.integers(0, 5), "taken back") == 5:
            both.take_back(data)
        if exchange.interest is Interest.WRITABLE:
            both.wait_writable(data)
        elif data.draw(st.integers(0, 9), "what") == 9:
            both.pause(data)
        else:
            both.receive(data, end)
    both.check()
    both.take_back(data)
    if ending == "cancelled":
        is_sending = exchange.interest is Interest.WRITABLE
        exchange.stop(model.now)
        exchange.give_up(model.now)
        assert exchange.is_unfinished is is_sending
        assert exchange.piped_bytes == 0
    elif model.whole(end) == end:
        exchange.receive(b"", model.now)
        assert exchange.interest is Interest.ENDED
    else:
        with pytest.raises(IncompleteFrameError) as raised:
            exchange.receive(b"", model.now)
        assert raised.value.received == end - model.whole(end)
    # A frame counts if all of it was accepted, and no other does.
    assert sum(messages for messages, *_ in both.reports) == model.frames(0, model.whole(model.gone))
    assert sum(size for _, size, *_ in both.reports) == model.whole(model.gone)


@given(large, st.integers(0, 200_000), st.data())
@examples(200)
def test_a_drain_finishes_the_frame_that_lies_in_pipes(
    lengths: list[int], capacity: int, data: st.DataObject
) -> None:
    both = Both(lengths, capacity=capacity)
    model, exchange = both.model, both.exchange
    drain_at = data.draw(st.integers(0, len(model.wire)), "drain at")
    while model.come < drain_at:
        if exchange.interest is Interest.WRITABLE:
            both.wait_writable(data)
        else:
            both.receive(data, drain_at)
    exchange.drain()
    assert exchange.rest_bytes() == 0
    if exchange.interest is not Interest.WRITABLE:
        both.take_back(data)
    while exchange.interest not in DONE:
        if exchange.interest is Interest.WRITABLE:
            both.wait_writable(data)
        elif exchange.interest is Interest.ARRIVED:
            exchange.nothing_arrived()
        else:
            both.receive(data)
    begun = next((end for end in model.ends if end >= drain_at), 0)
    expected = drain_at if model.whole(drain_at) == drain_at else begun
    assert model.whole(model.come) >= expected
    assert model.gone == model.whole(model.come)


# ---- by hand ----


class Play:
    """An exchange that echoes, with a clock for everything."""

    def __init__(self, capacity: int = 0) -> None:
        self.reports: list[tuple[int, int, float, float | None]] = []
        self.exchange = Exchange(
            format=FrameFormat(),
            limits=Limits(idle_timeout_s=IDLE_S, frame_timeout_s=FRAME_S, write_timeout_s=WRITE_S),
            receive_capacity=lambda: capacity,
            now=0.0,
            on_sent=lambda *report: self.reports.append(report),
        )
        self.exchange.start(Use.ECHO, 0.0)

    @property
    def waits(self) -> tuple[Interest, float]:
        return self.exchange.interest, self.exchange.deadline


def test_only_the_rest_of_a_large_frame_need_not_be_seen_and_only_of_an_echo() -> None:
    exchange = Play().exchange
    assert exchange.rest_bytes() == 0
    exchange.receive(LARGE[:3], 1.0)
    assert exchange.rest_bytes() == 0
    exchange.receive(LARGE[3:10], 1.0)
    assert exchange.rest_bytes() == len(LARGE) - 10
    rest = LEAST - 1
    exchange.receive(LARGE[10:-rest], 1.0)
    assert exchange.rest_bytes() == 0  # less than that is missing
    for use in (Use.REPLY, Use.TAKE):
        exchange = Play().exchange
        exchange.start(use, 0.0)
        exchange.receive(LARGE[:10], 1.0)
        assert exchange.rest_bytes() == 0


def test_where_more_than_a_length_is_to_be_checked_all_is_seen() -> None:
    exchange = Exchange(
        format=FrameFormat.parse("any2,u32be"), limits=Limits(), receive_capacity=lambda: 0, now=0.0
    )
    exchange.start(Use.ECHO, 0.0)
    exchange.receive(b"\0\0" + LARGE[:10], 1.0)
    assert exchange.decoder.buffered_bytes == 12
    assert exchange.rest_bytes() == 0


def test_after_a_piped_frame_only_a_header_is_expected_and_after_another_one_it_is_not() -> None:
    play = Play()
    exchange = play.exchange
    exchange.receive(LARGE[:10], 1.0)
    assert not exchange.expects_header
    for beginning in (b"", LARGE[:4]):
        rest = exchange.rest_bytes(beginning)
        assert isinstance(exchange.receive(PipedBytes(beginning, rest), 2.0), PipedBytes)
        assert exchange.sent(len(LARGE), 3.0) is None
        assert exchange.expects_header
        assert not exchange.expects_small
    assert play.reports == [(1, len(LARGE), 0.0, 1.0)] * 2
    small = frame(b"x" * 7)
    assert exchange.rest_bytes(small[:4]) == 0
    exchange.receive(small[:4], 4.0)
    assert not exchange.expects_header
    assert exchange.receive(small[4:], 4.0) is not None
    exchange.sent(len(small), 4.0)
    assert exchange.expects_small


def test_a_header_that_is_refused_announces_nothing() -> None:
    exchange = Play().exchange
    exchange.receive(LARGE[:10], 1.0)
    exchange.receive(PipedBytes(b"", exchange.rest_bytes()), 1.0)
    exchange.sent(len(LARGE), 1.0)
    assert exchange.rest_bytes(b"\xff\xff\xff\xff") == 0
    assert exchange.rest_bytes(b"\x00\x01") == 0
    assert exchange.rest_bytes(b"\x00\x00\x00\x00") == 0


def test_the_clock_of_a_frame_is_not_reset_by_what_goes_into_pipes() -> None:
    play = Play()
    play.exchange.receive(LARGE[:10], 1.0)
    play.exchange.receive(PipedBytes(b"", 1000), 40.0)
    assert play.waits == (Interest.READABLE, 1.0 + FRAME_S)
    play.exchange.take_back(LARGE[10:1010])
    assert play.waits == (Interest.READABLE, 1.0 + FRAME_S)
    play.exchange.deadline_passed()
    with pytest.raises(FrameTimeoutError):
        play.exchange.nothing_arrived()


def test_a_frame_is_late_only_with_more_than_had_arrived_whether_in_pipes_or_not() -> None:
    play = Play(capacity=500)
    exchange = play.exchange
    exchange.receive(LARGE[:10], 1.0)
    exchange.receive(PipedBytes(b"", 1000), 1.0 + FRAME_S)  # the clock has run out with it
    assert exchange.interest is Interest.LAST_CHANCE
    exchange.take_back(LARGE[10:1010])
    assert exchange.receive(LARGE[1010:1510], 70.0) is None
    with pytest.raises(FrameTimeoutError):
        exchange.receive(LARGE[1510:1511], 70.0)


def test_the_write_clock_runs_while_nothing_leaves_the_pipes() -> None:
    play = Play()
    play.exchange.receive(LARGE[:10], 1.0)
    play.exchange.receive(PipedBytes(b"", len(LARGE) - 10), 1.0)
    play.exchange.sent(1000, 1.0)
    play.exchange.begin_block(2.0)
    assert play.waits == (Interest.WRITABLE, 2.0 + WRITE_S)
    play.exchange.sent(0, 10.0)
    play.exchange.begin_block(10.0)
    assert play.waits == (Interest.WRITABLE, 2.0 + WRITE_S)
    play.exchange.sent(1, 20.0)
    play.exchange.begin_block(20.0)
    assert play.waits == (Interest.WRITABLE, 20.0 + WRITE_S)
    play.exchange.sent(len(LARGE) - 1001, 30.0)
    assert play.reports == [(1, len(LARGE), 28.0, 1.0)]


def test_nobody_wants_what_lies_in_pipes_of_a_torn_or_closed_connection() -> None:
    play = Play()
    play.exchange.receive(LARGE[:10], 1.0)
    play.exchange.receive(PipedBytes(b"", 1000), 1.0)
    assert play.exchange.piped_bytes == 1000
    play.exchange.close()
    assert play.exchange.piped_bytes == 0
    play = Play()
    play.exchange.receive(LARGE[:10], 1.0)
    play.exchange.receive(PipedBytes(b"", len(LARGE) - 10), 1.0)
    play.exchange.sent(1010, 1.0)
    assert play.exchange.piped_bytes == len(LARGE) - 1010
    play.exchange.give_up(2.0)
    assert play.exchange.piped_bytes == 0
    assert play.reports == [(0, 0, 0.0, None)]


def test_what_was_sent_from_a_pipe_and_after_it_counts_only_when_all_is() -> None:
    play = Play()
    play.exchange.receive(LARGE[:10], 1.0)
    play.exchange.receive(PipedBytes(b"", len(LARGE) - 10), 1.0)
    play.exchange.sent(1000, 1.0)
    play.exchange.take_back(LARGE[1000:])
    play.exchange.sent(500, 1.0)  # zeros, which look like frames
    play.exchange.give_up(2.0)
    assert play.reports == [(0, 0, 0.0, None)]


def test_what_lies_in_pipes_is_not_sent_without_them() -> None:
    play = Play()
    play.exchange.receive(LARGE[:10], 1.0)
    play.exchange.receive(PipedBytes(b"", len(LARGE) - 10), 1.0)
    with pytest.raises(TypeError, match="taken back"):
        play.exchange.unsent_bytes  # noqa: B018 - it is what raises
    play.exchange.sent(5, 1.0)
    play.exchange.take_back(LARGE[10:])
    sent = LARGE[:5]
    while unsent := play.exchange.unsent_bytes:
        sent += bytes(unsent)
        play.exchange.sent(len(unsent), 1.0)
    assert sent == LARGE
    with pytest.raises(TypeError, match="nothing"):
        play.exchange.take_back(b"more")
    assert play.reports[0][:2] == (1, len(LARGE))

"""The exchange beside a model of it: any frames, cuts, partial sends, clocks, drains and cancellations.

The model knows only which bytes have come when and which have gone when. What has to be
sent, counted and waited for follows from that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.wire import frame
from trioecho import FrameFormat, IncompleteFrameError, Limits
from trioecho.connection.calls import Calls
from trioecho.connection.exchange import Exchange
from trioecho.connection.interest import Interest, Use
from trioecho.connection.sending import PipedBytes, Wire
from trioecho.connection.turn_limits import TURN_MESSAGES

IDLE_S, FRAME_S, WRITE_S = 300.0, 60.0, 30.0
# More than the exchange receives as small, and more than it receives in place.
LONG = (20_000, 300_000)
DONE = (Interest.ENDED, Interest.NOTHING)


@dataclass
class Model:
    """What must be so of an echo of these frames, whatever was cut where.

    Attributes:
      wire: all that the peer sends.
      ends: where its frames end.
      come, gone: how many of its bytes were received, and how many were accepted as an echo.
      now: the time.
      came_at: when something was received last.
      listens_since: since when this side has been waiting for a frame to begin.
      clock: when the frame clock of the frame that has begun runs out; none has if it is infinite.
      blocked_s: in the send that goes on; `blocked_since_receive_s`: since something was received.
      write_clock: when the write clock runs out.
    """

    wire: bytes
    ends: list[int]
    come: int = 0
    gone: int = 0
    now: float = 0.0
    came_at: float = 0.0
    listens_since: float = 0.0
    clock: float = math.inf
    blocked_s: float = 0.0
    blocked_since_receive_s: float = 0.0
    write_clock: float = math.inf
    reports: list[tuple[int, int, float, float | None]] = field(default_factory=list)

    def whole(self, position: int) -> int:
        """How many bytes whole frames have up to there."""
        return max((end for end in self.ends if end <= position), default=0)

    def frames(self, start: int, stop: int) -> int:
        """How many whole frames are between two places where frames end."""
        return sum(start < end <= stop for end in self.ends)

    @property
    def deadline(self) -> float:
        if self.gone < self.whole(self.come):
            return self.write_clock
        return self.listens_since + IDLE_S if self.whole(self.come) == self.come else self.clock

    def check(self, exchange: Exchange, reports: list[tuple[int, int, float, float | None]]) -> None:
        """Compare what can be seen."""
        is_sending = self.gone < self.whole(self.come)
        assert (exchange.interest is Interest.WRITABLE) is is_sending
        assert bool(exchange.unsent) is is_sending
        if exchange.interest in (Interest.READABLE, Interest.WRITABLE):
            assert math.isclose(exchange.deadline, self.deadline)
        assert len(reports) == len(self.reports)
        for report, expected in zip(reports, self.reports, strict=True):
            assert report[:2] == expected[:2]
            assert math.isclose(report[2], expected[2], abs_tol=1e-6)
            assert report[3] is not None
            assert expected[3] is not None
            assert math.isclose(report[3], expected[3], abs_tol=1e-6)


class Both:
    """The exchange and the model, which are told the same; and the pipes beside them."""

    def __init__(self, lengths: list[int], capacity: int) -> None:
        payloads = [bytes([number % 251]) * length for number, length in enumerate(lengths)]
        wire = b"".join(map(frame, payloads))
        ends = [sum(4 + length for length in lengths[: number + 1]) for number in range(len(lengths))]
        self.model = Model(wire, ends)
        self.reports: list[tuple[int, int, float, float | None]] = []
        self.pipes = b""
        self.exchange = Exchange(
            format=FrameFormat(),
            limits=Limits(idle_timeout_s=IDLE_S, frame_timeout_s=FRAME_S, write_timeout_s=WRITE_S),
            receive_capacity=lambda: capacity,
            now=0.0,
            on_sent=lambda *report: self.reports.append(report),
        )
        self.exchange.start(Use.ECHO, 0.0)

    def check(self) -> None:
        self.model.check(self.exchange, self.reports)
        unsent = self.exchange.unsent
        visible = unsent.beginning if isinstance(unsent, PipedBytes) else unsent
        piped = self.pipes[: unsent.in_pipes] if isinstance(unsent, PipedBytes) else b""
        gone = self.model.gone
        assert bytes(visible) + piped == self.model.wire[gone : gone + len(unsent)]
        assert self.exchange.piped_bytes == len(self.pipes)

    def receive(self, data: st.DataObject, end: int | None = None) -> None:
        """The next bytes before the end, received into memory of their own, in place, or a shared buffer."""
        model = self.model
        left = (len(model.wire) if end is None else end) - model.come
        received: Wire
        buffer: memoryview | None = None
        if (piped := self.receive_piped(data, left)) is not None:
            received = piped
        else:
            if self.exchange.decoder.skipped_bytes:
                self.take_back(data)
            received = model.wire[model.come : model.come + self.draw_cut(data, left)]
            buffer = self.exchange.decoder.get_buffer()
            if buffer is not None:
                count = min(len(received), len(buffer))
                buffer[:count] = received[:count]
                received = buffer[:count]
            elif data.draw(st.booleans(), "shared"):
                received = memoryview(bytearray(received))
        count = len(received)
        first_of_rest = model.whole(model.come) == model.come or model.come + count >= self.next_end()
        model.come += count
        model.came_at = model.now
        model.blocked_since_receive_s = 0.0
        wire = self.exchange.receive(received, model.now)
        if model.whole(model.come) == model.gone and first_of_rest:
            self.listen()
        self.send(data, wire)
        if isinstance(received, memoryview) and not received.readonly and buffer is None:
            received[:] = bytes(len(received))  # others are received there now

    def draw_cut(self, data: st.DataObject, left: int) -> int:
        """Cuts close to each other, but not more of them than can be drawn."""
        most = min(left, max(left // 20, data.draw(st.sampled_from([1 << 20, 10_000, 100, 3]), "most")))
        return data.draw(st.integers(max(1, most // 2), most), "received")

    def receive_piped(self, data: st.DataObject, left: int) -> PipedBytes | None:
        """The next bytes go into pipes, behind a header where one is expected, if they need not be seen."""
        come, exchange = self.model.come, self.exchange
        header = self.model.wire[come : come + min(4, left)] if exchange.expects_header else b""
        rest = min(exchange.rest_bytes(header), left - len(header))
        if rest <= 0 or data.draw(st.integers(0, 5), "seen") == 0:
            return None
        count = self.draw_cut(data, rest)
        self.pipes += self.model.wire[come + len(header) : come + len(header) + count]
        return PipedBytes(header, count)

    def take_back(self, data: st.DataObject) -> None:
        """All that lies in pipes comes out of them, in pieces."""
        while self.pipes:
            assert self.exchange.piped_bytes == len(self.pipes)
            count = self.draw_cut(data, len(self.pipes))
            piece, self.pipes = self.pipes[:count], self.pipes[count:]
            self.exchange.take_back(piece)
        self.check()

    def next_end(self) -> int:
        return min(end for end in self.model.ends if end > self.model.come)

    def listen(self) -> None:
        """Note that this side waits for the rest of a frame, or for the next one."""
        model = self.model
        model.listens_since = model.now
        model.clock = model.now + FRAME_S if model.whole(model.come) < model.come else math.inf

    def send(self, data: st.DataObject, wire: Wire | None) -> None:
        """Send what is to be sent at once, as far as the kernel accepts it; then a wait may begin."""
        model, exchange = self.model, self.exchange
        while wire is not None:
            self.pass_time(data)
            accepted = data.draw(st.sampled_from([len(wire), len(wire), 0, len(wire) // 2, 1]), "accepted")
            self.accept(accepted)
            wire = exchange.sent(accepted, model.now)
        if exchange.interest is Interest.WRITABLE:
            self.begin_block()

    def accept(self, count: int) -> None:
        model, unsent = self.model, self.exchange.unsent
        model.gone += count
        if isinstance(unsent, PipedBytes):
            self.pipes = self.pipes[max(0, count - len(unsent.beginning)) :]
        if count:
            model.write_clock = math.inf
        if model.gone == model.whole(model.come):
            counted = sum(report[1] for report in model.reports)
            service_s = model.now - model.came_at - model.blocked_since_receive_s
            model.reports.append(
                (model.frames(counted, model.gone), model.gone - counted, model.blocked_s, service_s)
            )
            model.blocked_s = 0.0
            self.listen()

    def begin_block(self) -> None:
        self.exchange.begin_block(self.model.now)
        self.model.write_clock = min(self.model.write_clock, self.model.now + WRITE_S)

    def wait_writable(self, data: st.DataObject) -> None:
        """Be blocked for a while, within the write clock; then the kernel accepts some."""
        if self.pipes and data.draw(st.integers(0, 3), "taken back") == 0:
            self.take_back(data)
        model, unsent = self.model, self.exchange.unsent
        blocked_s = data.draw(st.floats(0, max(0.0, (model.write_clock - model.now) / 2)), "blocked")
        model.now += blocked_s
        model.blocked_s += blocked_s
        model.blocked_since_receive_s += blocked_s
        accepted = data.draw(st.sampled_from([len(unsent), len(unsent), 0, 1, len(unsent) // 3]), "accepted")
        self.accept(accepted)
        self.send(data, self.exchange.sent(accepted, model.now))

    def pass_time(self, data: st.DataObject) -> None:
        self.model.now += data.draw(st.sampled_from([0.0, 0.001, 1.0]), "time")

    def pause(self, data: st.DataObject) -> None:
        """Nobody listens for a while: a wait was cancelled, and then there is another."""
        model = self.model
        self.take_back(data)
        self.exchange.stop(model.now)
        pause_s = data.draw(st.floats(0, 1000), "pause")
        model.now += pause_s
        self.exchange.start(Use.ECHO, model.now)
        model.listens_since = model.now
        model.clock += pause_s


lengths = st.lists(st.integers(0, 40) | st.integers(0, 3000) | st.sampled_from(LONG), max_size=8)


@given(lengths, st.data())
@examples(150)
def test_an_echo_is_what_came_whole_whatever_was_cut_where(lengths: list[int], data: st.DataObject) -> None:
    both = Both(lengths, capacity=1 << 20)
    model, exchange = both.model, both.exchange
    while model.come < len(model.wire) or exchange.interest is Interest.WRITABLE:
        both.check()
        both.pass_time(data) if exchange.interest is not Interest.WRITABLE else None
        if exchange.interest is Interest.WRITABLE:
            both.wait_writable(data)
        elif data.draw(st.integers(0, 5), "what") == 0:
            both.pause(data)
        else:
            both.receive(data)
    both.check()
    assert model.gone == len(model.wire)
    assert sum(messages for messages, *_ in both.reports) == len(lengths)
    assert exchange.receive(b"", model.now) is None
    assert exchange.interest is Interest.ENDED


@given(lengths, st.data())
@examples(100)
def test_the_end_of_the_stream_anywhere_is_clean_only_between_frames(
    lengths: list[int], data: st.DataObject
) -> None:
    both = Both(lengths, capacity=1 << 20)
    model, exchange = both.model, both.exchange
    end = data.draw(st.integers(0, len(model.wire)), "end")
    while model.come < end or exchange.interest is Interest.WRITABLE:
        if exchange.interest is Interest.WRITABLE:
            both.wait_writable(data)
        else:
            both.receive(data, end)
    both.take_back(data)
    try:
        exchange.receive(b"", model.now)
    except IncompleteFrameError:
        assert model.whole(end) < end
    else:
        assert model.whole(end) == end
        assert exchange.interest is Interest.ENDED
    assert model.gone == model.whole(end)


@given(lengths, st.integers(0, 5000), st.data())
@examples(100)
def test_a_drain_echoes_what_had_arrived_and_the_frame_that_had_begun(
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
    if exchange.interest is not Interest.WRITABLE:
        both.take_back(data)
    arrived = min(len(model.wire), drain_at + data.draw(st.integers(0, capacity), "arrived"))
    most = math.inf  # bytes that may still be received: with the last receive it can be a few more
    while exchange.interest not in DONE:
        assert model.come < len(model.wire) or exchange.interest is not Interest.READABLE
        if exchange.interest is Interest.WRITABLE:
            both.wait_writable(data)
        elif exchange.interest is Interest.ARRIVED and model.come >= arrived:
            exchange.nothing_arrived()
            most = model.come
        elif exchange.interest is Interest.ARRIVED:
            both.receive(data, arrived)
        else:
            # Nothing more had arrived, and a frame had begun.
            assert model.come > model.whole(model.come)
            assert model.whole(model.come) <= min(most, arrived)
            both.receive(data)
    begun = next((end for end in model.ends if end >= arrived), len(model.wire))
    expected = arrived if model.whole(arrived) == arrived else begun
    assert model.whole(model.come) >= expected
    assert model.gone == model.whole(model.come)
    # All that comes after the frame that had begun came together with its end.
    assert exchange.interest is Interest.ENDED


@given(lengths, st.data())
@examples(100)
def test_a_cancellation_in_mid_send_lets_no_byte_follow_and_counts_what_was_whole(
    lengths: list[int], data: st.DataObject
) -> None:
    both = Both(lengths, capacity=1 << 20)
    model, exchange = both.model, both.exchange
    while model.come < len(model.wire):
        if exchange.interest is Interest.WRITABLE and data.draw(st.booleans(), "cancelled"):
            break
        if exchange.interest is Interest.WRITABLE:
            both.wait_writable(data)
        else:
            both.receive(data)
    is_sending = exchange.interest is Interest.WRITABLE
    both.take_back(data)
    exchange.stop(model.now)
    exchange.give_up(model.now)
    assert exchange.is_unfinished is is_sending
    assert exchange.unsent == b""
    # A frame counts if all of it was accepted, and no other does.
    assert sum(messages for messages, *_ in both.reports) == model.frames(0, model.whole(model.gone))
    assert sum(size for _, size, *_ in both.reports) == model.whole(model.gone)


@given(lengths, st.data())
@examples(100)
def test_messages_come_whole_in_order_and_once_and_so_do_their_replies(
    lengths: list[int], data: st.DataObject
) -> None:
    wire = b"".join(frame(bytes([number % 251]) * length) for number, length in enumerate(lengths))
    exchange = Exchange(
        format=FrameFormat(), limits=Limits(), receive_capacity=lambda: 1 << 20, now=0.0, on_sent=None
    )
    exchange.start(Use.REPLY, 0.0)
    come = 0
    taken: list[bytes] = []
    gone = b""

    def accept_some(sendable: Wire | None) -> None:
        nonlocal gone
        while sendable is not None:
            count = data.draw(st.sampled_from([len(sendable), len(sendable), 0, 1]), "accepted")
            gone += bytes(exchange.unsent_bytes[:count])
            sendable = exchange.sent(count, 1.0)
        if exchange.interest is Interest.WRITABLE:
            exchange.begin_block(1.0)

    while True:
        if exchange.interest is Interest.MESSAGES:
            if data.draw(st.integers(0, 3), "cancelled") == 0:  # before the task has taken them
                exchange.stop(1.0)
                exchange.start(Use.REPLY, 1.0)
                continue
            messages = exchange.take_messages()
            taken += messages
            exchange.reply(b"".join(map(frame, messages)), len(messages))
            accept_some(exchange.resume(1.0))
        elif exchange.interest is Interest.WRITABLE:
            unsent = exchange.unsent_bytes
            count = data.draw(st.sampled_from([len(unsent), 1]), "accepted")
            gone += bytes(unsent[:count])
            accept_some(exchange.sent(count, 1.0))
        elif come < len(wire):
            size = data.draw(st.sampled_from([3, 100, 10_000, 1 << 20]), "received")
            size = max(size, (len(wire) - come) // 20)
            received: bytes | memoryview = wire[come : come + size]
            buffer = exchange.decoder.get_buffer()
            if buffer is not None:
                size = min(len(buffer), len(received))
                buffer[:size] = received[:size]
                received = buffer[:size]
            come += len(received)
            accept_some(exchange.receive(received, 1.0))
        else:
            break
    assert taken == [bytes([number % 251]) * length for number, length in enumerate(lengths)]
    assert gone == wire


@given(lengths, st.data())
@examples(60)
def test_a_function_replies_to_all_before_the_message_at_which_it_fails(
    lengths: list[int], data: st.DataObject
) -> None:
    is_little = sum(lengths) < 2000
    if is_little:  # so that a turn is not enough
        lengths = lengths * data.draw(st.sampled_from([1, 1, 30]), "repeated")
    messages = [number.to_bytes(2, "big") * length for number, length in enumerate(lengths)]
    wire = b"".join(map(frame, messages))
    # Of one more than there are, it never fails.
    failing = data.draw(st.integers(0, len(messages)), "failing")
    end = data.draw(st.sampled_from([len(wire), len(wire), len(wire) // 2]), "the peer's or the drain's")
    grows = data.draw(st.sampled_from([1, 1, 20]), "grows") if is_little else 1
    seen: list[bytes] = []

    def reply(message: bytes) -> bytes:
        seen.append(message)
        if len(seen) == failing + 1:
            raise KeyError(message)
        return message[::-1] * grows

    reports: list[tuple[int, int]] = []
    exchange = Exchange(
        format=FrameFormat(),
        limits=Limits(max_frame_length=1 << 26),
        receive_capacity=lambda: 0,
        now=0.0,
        on_sent=lambda count, size, *_: reports.append((count, size)),
    )
    calls = Calls(reply, format=FrameFormat(), max_frame_length=1 << 26, on_slow=None)
    exchange.start(Use.REPLY, 0.0, calls)
    come = 0
    gone = b""

    def accept_some(sendable: Wire | None) -> None:
        nonlocal gone
        while sendable is not None:
            count = data.draw(
                st.sampled_from([len(sendable), len(sendable), 0, len(sendable) // 2]), "accepted"
            )
            gone += bytes(exchange.unsent_bytes[:count])
            sendable = exchange.sent(count, 1.0)
        if exchange.interest is Interest.WRITABLE:
            exchange.begin_block(1.0)

    while exchange.interest is not Interest.ENDED:
        before = len(seen)
        if exchange.interest is Interest.TURN:
            accept_some(exchange.resume(1.0))
        elif exchange.interest is Interest.WRITABLE:
            unsent = exchange.unsent_bytes
            count = data.draw(st.sampled_from([len(unsent), max(1, len(unsent) // 3)]), "accepted")
            gone += bytes(unsent[:count])
            accept_some(exchange.sent(count, 1.0))
            assert len(seen) == before  # nothing is made ahead while something waits to be sent
        elif exchange.interest is Interest.ARRIVED:
            exchange.nothing_arrived()
        elif come < end or (exchange.is_draining and come < len(wire)):
            size = data.draw(st.sampled_from([3, 100, 10_000, 1 << 20]), "received")
            size = max(size, (len(wire) - come) // 20)
            received: bytes | memoryview = wire[
                come : min(come + size, len(wire) if exchange.is_draining else end)
            ]
            buffer = exchange.decoder.get_buffer()
            if buffer is not None:
                size = min(len(buffer), len(received))
                buffer[:size] = received[:size]
                received = buffer[:size]
            come += len(received)
            accept_some(exchange.receive(received, 1.0))
        else:
            exchange.drain()
        assert len(seen) - before <= TURN_MESSAGES
    # The oracle: what came whole, up to the message at which it failed.
    whole, position = 0, 0
    while whole < len(lengths) and position + 4 + 2 * lengths[whole] <= come:
        position += 4 + 2 * lengths[whole]
        whole += 1
    replied = min(whole, failing)
    assert seen == messages[: replied + (failing < whole)]
    assert gone == b"".join(frame(message[::-1] * grows) for message in messages[:replied])
    assert sum(count for count, _ in reports) == replied
    assert isinstance(calls.failure, KeyError) is (failing < whole)
    # What it was not called for is still there.
    exchange.stop(1.0)
    left = []
    while (message := exchange.decoder.next_frame()) is not None:
        left.append(message)
    assert left == messages[replied + (failing < whole) : whole]

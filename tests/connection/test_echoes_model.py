"""Exchanges whose echoes are noted together beside twins that get everything by themselves."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.wire import frame
from trioecho import FrameFormat, Limits
from trioecho.connection.echoes_at_rest import EchoesAtRest
from trioecho.connection.exchange import Exchange
from trioecho.connection.interest import Interest, Use
from trioecho.connection.receiving import SMALL_BYTES

LIMITS = Limits(idle_timeout_s=300, frame_timeout_s=60, write_timeout_s=30)


class Echo:
    """A connection twice: one exchange that may echo together with others, and one that never does.

    Attributes:
      wire: all that the peer sends.
      ends: where its frames end.
      come, gone: how many of its bytes were received, and how many were sent back.
    """

    def __init__(self, lengths: list[int], on_sent: Any, on_sent_alone: Any) -> None:
        self.wire = b"".join(frame(bytes([number % 251]) * length) for number, length in enumerate(lengths))
        self.ends = [sum(4 + length for length in lengths[: number + 1]) for number in range(len(lengths))]
        self.come = self.gone = 0
        self.together, self.alone = (
            Exchange(
                format=FrameFormat(), limits=LIMITS, receive_capacity=lambda: 1 << 20, now=0.0, on_sent=each
            )
            for each in (on_sent, on_sent_alone)
        )
        for exchange in (self.together, self.alone):
            exchange.start(Use.ECHO, 0.0)

    def next_piece(self, data: st.DataObject) -> bytes:
        """What comes next, most often the next frame; nothing if nothing does."""
        to_end = min((end for end in self.ends if end > self.come), default=self.come) - self.come
        size = data.draw(st.sampled_from([to_end, to_end, to_end, 0, 3, 1000, 20_000]), "received")
        return self.wire[self.come : self.come + size]

    def is_one_small_frame(self, piece: bytes) -> bool:
        """By the wire's own account."""
        ends = [end for end in self.ends if self.come < end <= self.come + len(piece)]
        return ends == [self.come + len(piece)] and len(piece) < SMALL_BYTES

    def accept(self, data: st.DataObject, exchange: Exchange, now: float, counts: list[int]) -> None:
        """Send what is to be sent; the two send the same, of which as much is accepted."""
        for position in range(100):
            if not exchange.unsent:
                return
            if position == len(counts):
                counts.append(data.draw(st.sampled_from([len(exchange.unsent), 1, 0]), "accepted"))
            if exchange is self.alone:
                start = self.gone
                assert bytes(exchange.unsent_bytes) == self.wire[start : start + len(exchange.unsent)]
                self.gone += counts[position]
            exchange.sent(counts[position], now)
            if exchange.interest is Interest.WRITABLE:
                exchange.begin_block(now)
                return

    def step(self, data: st.DataObject, piece: bytes, now: float) -> None:
        """Give both the same; the echo may be accepted in part."""
        counts: list[int] = []
        for exchange in (self.alone, self.together):
            if exchange.interest is Interest.READABLE and piece:
                exchange.receive(piece, now)
            self.accept(data, exchange, now, counts)
        self.come += len(piece)

    def check(self) -> None:
        assert state(self.together) == state(self.alone)
        assert self.gone <= max([end for end in self.ends if end <= self.come], default=0)


def state(exchange: Exchange) -> tuple[object, ...]:
    decoder = exchange.decoder
    return (
        *(exchange.interest, exchange.deadline, exchange.sending, exchange.is_at_rest),
        *(bytes(exchange.unsent_bytes), exchange.last_received_at, exchange.expects_small),
        *(decoder.buffered_bytes, decoder.frames_decoded),
    )


lengths = st.lists(st.integers(0, 40) | st.sampled_from([3000, SMALL_BYTES - 5, SMALL_BYTES - 4]), max_size=8)


@given(st.lists(lengths, min_size=1, max_size=4), st.data())
@examples(150)
def test_together_or_alone_makes_no_difference(wires: list[list[int]], data: st.DataObject) -> None:
    reports: list[tuple[int, int, float, float]] = []
    alone: list[tuple[int, int, float, float]] = []

    def count(*report: Any) -> None:
        reports.append(report)

    def count_alone(*report: Any) -> None:
        alone.append(report)

    echoes = [Echo(one, count, count_alone) for one in wires]
    all_at_rest = EchoesAtRest(echoes[0].together)
    assert all(all_at_rest.is_for(echo.together) for echo in echoes)
    now = 0.0
    while any(echo.gone < len(echo.wire) for echo in echoes):
        now += data.draw(st.sampled_from([0.0, 0.25, 1.0]), "time")
        pieces = [
            echo.next_piece(data) if echo.alone.interest is Interest.READABLE else b"" for echo in echoes
        ]
        resting = [
            (echo, piece)
            for echo, piece in zip(echoes, pieces, strict=True)
            if piece and echo.together.is_at_rest
        ]
        sizes = [len(piece) for _, piece in resting]
        can_echo = bool(resting) and all_at_rest.can_echo([piece for _, piece in resting], sizes)
        assert can_echo is (bool(resting) and all(echo.is_one_small_frame(piece) for echo, piece in resting))
        if can_echo and data.draw(st.booleans(), "all accepted"):
            for echo, piece in resting:
                echo.alone.receive(piece, now)
                echo.alone.sent(len(piece), now + 0.5)
                echo.come += len(piece)
                echo.gone += len(piece)
            all_at_rest.note_sent([echo.together for echo, _ in resting], sum(sizes), now, now + 0.5)
            now += 0.5
        else:
            for echo, piece in zip(echoes, pieces, strict=True):
                echo.step(data, piece, now)
        for echo in echoes:
            echo.check()
    for one, other in zip(totals(reports), totals(alone), strict=True):
        assert math.isclose(one, other, abs_tol=1e-6)
    assert totals(reports)[:2] == (sum(map(len, wires)), sum(len(echo.wire) for echo in echoes))


def totals(reports: list[tuple[int, int, float, float]]) -> tuple[int, int, float, float]:
    """Messages, bytes, seconds blocked, and all service times together."""
    return (
        sum(messages for messages, *_ in reports),
        sum(size for _, size, *_ in reports),
        sum(blocked_s for *_, blocked_s, _ in reports),
        sum(messages * service_s for messages, _, _, service_s in reports),
    )

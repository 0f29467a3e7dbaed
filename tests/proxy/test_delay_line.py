"""When the proxy passes bytes on: pieces, delays, gaps and a bandwidth, in numbers alone."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.proxy import Cut, DelayLine, Faults, Send, TokenBucket
from trioecho.proxy.delay_line import MAX_LINE_BYTES, SHORT_LINE_BYTES

BURST_S = 0.1
START = 1000.0
TINY_S = 1e-6  # what adding up of floating-point numbers may cost

Arrival = tuple[float, bytes]
Departure = tuple[float, bytes | Cut]

rates = st.sampled_from([1, 7, 100, 1000, 65536, 100 << 20])


def at_times(pauses: list[tuple[float, int]]) -> list[Arrival]:
    now, number, result = START, 0, []
    for pause_s, size in pauses:
        now += pause_s
        result.append((now, bytes((number + at) % 256 for at in range(size))))
        number += size
    return result


# Pauses before chunks of so many bytes.
arrivals = st.lists(st.tuples(st.floats(0, 0.3), st.integers(1, 60)), min_size=1, max_size=6).map(at_times)


def drive(
    faults: Faults, arrivals: list[Arrival], late_s: Callable[[], float] = lambda: 0.0
) -> list[Departure]:
    """What leaves a line and when, if it is looked at when something is due, or a little late."""
    line = DelayLine(faults, random.Random(0), START)
    waiting = list(arrivals)
    departures: list[Departure] = []
    now = START
    while waiting or not line.is_empty:
        comes = waiting[0][0] if waiting else math.inf
        now = max(now, min(comes, line.due_at()))
        while waiting and waiting[0][0] <= now:
            came, data = waiting.pop(0)
            line.put(Send(data), came)
        now = max(now, now if line.due_at() > now else now + late_s())
        while (piece := line.take(now)) is not None:
            departures.append((now, piece))
    return departures


def ends(pieces: list[Arrival] | list[Departure]) -> list[tuple[float, int]]:
    """The time of each piece, and how many bytes there are up to its end."""
    total, result = 0, []
    for now, piece in pieces:
        assert isinstance(piece, bytes)
        total += len(piece)
        result.append((now, total))
    return result


def came_at(arrivals: list[Arrival], count: int) -> float:
    """When the last of the first so many bytes came."""
    return next(now for now, total in ends(arrivals) if total >= count)


@given(
    arrivals,
    st.builds(
        Faults,
        slice_bytes=st.none() | st.tuples(st.integers(1, 3), st.integers(3, 50)),
        delay_s=st.sampled_from([(0.0, 0.0), (0.05, 0.05), (0.01, 0.2)]),
        gap_s=st.sampled_from([0.0, 0.003]),
        bandwidth_bytes_per_s=st.just(0) | rates,
    ),
    st.sampled_from([0.0, 0.02]),
)
def test_all_bytes_leave_in_order_and_not_too_early(
    arrivals: list[Arrival], faults: Faults, late_s: float
) -> None:
    numbers = random.Random(1)
    departures = drive(faults, arrivals, lambda: numbers.uniform(0, late_s))
    assert b"".join(bytes(piece) for _, piece in departures if isinstance(piece, bytes)) == b"".join(
        data for _, data in arrivals
    )
    before = -math.inf
    for now, total in ends(departures):
        assert now >= came_at(arrivals, total) + faults.delay_s[0]
        assert now >= before + faults.gap_s
        before = now
    if faults.slice_bytes:
        assert all(len(piece) <= faults.slice_bytes[1] for _, piece in departures if isinstance(piece, bytes))


@given(arrivals, st.floats(0, 5))
def test_a_delay_counts_from_the_arrival_and_delays_overlap(arrivals: list[Arrival], delay_s: float) -> None:
    assert drive(Faults(delay_s=(delay_s, delay_s)), arrivals) == [
        (came + delay_s, data) for came, data in arrivals
    ]


@given(arrivals, st.sampled_from([None, (1, 7)]))
def test_a_piece_waits_for_its_own_delay_or_for_those_before_it(
    arrivals: list[Arrival], sizes: tuple[int, int] | None
) -> None:
    departures = drive(Faults(slice_bytes=sizes, delay_s=(0.1, 0.4)), arrivals)
    before = -math.inf
    for now, total in ends(departures):
        assert now == before or now <= came_at(arrivals, total) + 0.4
        before = now


def test_a_frame_in_many_pieces_is_delayed_once() -> None:
    chunks = [(START + number / 10_000, bytes(65536)) for number in range(14)]
    assert ends(drive(Faults(delay_s=(0.05, 0.05)), chunks))[-1] == (
        pytest.approx(START + 0.0513),
        14 * 65536,
    )


@given(
    arrivals,
    rates,
    st.sampled_from([None, (1, 1), (1, 3), (50, 60)]),
    st.sampled_from([0.0, 0.03, 0.3]),
)
def test_in_no_time_more_passes_than_the_bandwidth_and_one_burst(
    arrivals: list[Arrival], rate: int, sizes: tuple[int, int] | None, late_s: float
) -> None:
    numbers = random.Random(2)
    departures = drive(
        Faults(slice_bytes=sizes, bandwidth_bytes_per_s=rate),
        arrivals,
        lambda: numbers.uniform(0, late_s),
    )
    most = rate * BURST_S + max(len(piece) for _, piece in departures if isinstance(piece, bytes))
    marks = ends(departures)
    assert all(total <= rate * (now - START + TINY_S) + most for now, total in marks)
    for index, (began, before) in enumerate([(START, 0), *marks]):
        for now, total in marks[index:]:
            assert total - before <= rate * (now - began + TINY_S) + most


@given(
    st.integers(1, 1000),
    rates,
    st.sampled_from([None, (1, 1), (1, 3), (100, 900)]),
    st.sampled_from([0.0, 0.05]),
)
def test_the_bandwidth_is_reached_with_pieces_of_any_size(
    count: int, rate: int, sizes: tuple[int, int] | None, late_s: float
) -> None:
    numbers = random.Random(3)
    departures = drive(
        Faults(slice_bytes=sizes, bandwidth_bytes_per_s=rate),
        [(START, bytes(count))],
        lambda: numbers.uniform(0, late_s),
    )
    took_s = departures[-1][0] - START
    assert count / rate <= took_s + TINY_S
    assert took_s <= count / rate + late_s + TINY_S


def test_after_a_pause_what_passes_in_a_tenth_of_a_second_comes_at_once() -> None:
    bucket = TokenBucket(1000, START)
    assert bucket.ready_at(1) == START + 0.001
    now = START + 60
    passed = 0
    while bucket.ready_at(1) <= now:
        bucket.take(1, now)
        passed += 1
    assert passed == 101


def test_a_cut_comes_after_what_was_before_it() -> None:
    line = DelayLine(Faults(delay_s=(0.5, 0.5), bandwidth_bytes_per_s=1), random.Random(0), START)
    line.put(Send(b"ab"), START)
    line.put(Cut.RESET, START)
    assert [line.take(START + 1), line.take(START + 1)] == [b"a", None]
    assert line.due_at() == START + 2
    assert [line.take(START + 2), line.take(START + 2)] == [b"b", Cut.RESET]
    assert line.is_empty
    assert line.due_at() == math.inf


@pytest.mark.parametrize(
    ("faults", "most"),
    [
        (Faults(slice_bytes=(1, 1)), SHORT_LINE_BYTES),
        (Faults(delay_s=(0.0, 1.0)), MAX_LINE_BYTES),
        (Faults(bandwidth_bytes_per_s=1000), SHORT_LINE_BYTES),
        # What is in the air, and not what would only queue up for the bandwidth.
        (Faults(delay_s=(2.0, 2.0), bandwidth_bytes_per_s=1000), SHORT_LINE_BYTES + 2000),
        (Faults(delay_s=(9.0, 9.0), bandwidth_bytes_per_s=1 << 30), MAX_LINE_BYTES),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1000, 65536])
def test_what_is_on_its_way_is_bounded(faults: Faults, most: int, chunk: int) -> None:
    line = DelayLine(faults, random.Random(0), START)
    taken_in = 0
    while line.has_room:
        line.put(Send(bytes(chunk)), START)
        taken_in += chunk
    assert most / 200 < taken_in < most + chunk
    while not line.is_empty:
        assert line.take(line.due_at()) is not None
    assert line.has_room

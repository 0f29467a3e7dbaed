"""How far another machine's clocks are ahead of ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.cluster.clock import ClockOffset, ClockReading, clock_identity, offset_of


def test_the_shortest_round_trip_knows_best() -> None:
    readings = [
        ClockReading(0, 1000, 900 + 7, 50, 900 + 60),
        ClockReading(2000, 2101, 2050 + 7, 50, 50 + 50 + 3),
        ClockReading(3000, 3400, 3001 + 7, 50, 51),
    ]
    assert offset_of(readings) == ClockOffset(7, 51, 3)


@given(
    ahead=st.integers(-(10**18), 10**18),
    trips=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1),
)
def test_the_error_is_never_larger_than_it_says(ahead: int, trips: list[tuple[int, int]]) -> None:
    readings = [
        ClockReading(1000, 1000 + there + back, 1000 + there + ahead, 5, 5 + there + ahead)
        for there, back in trips
    ]
    found = offset_of(readings)
    assert abs(found.ahead_ns - ahead) <= found.error_ns
    assert abs(found.day_ahead_ns - ahead) <= found.error_ns
    assert found.error_ns == (min(there + back for there, back in trips) + 1) // 2


def test_one_clock_is_not_ahead_of_itself() -> None:
    assert offset_of([ClockReading(0, 1000, 400, 0, 400)], is_same_clock=True) == ClockOffset(0, 0, 0)


def test_without_a_reading_nothing_is_known() -> None:
    with pytest.raises(ValueError, match="empty"):
        offset_of([])


def test_processes_of_one_machine_have_one_clock() -> None:
    assert clock_identity() == clock_identity()

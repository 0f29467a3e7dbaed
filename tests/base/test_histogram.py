from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from trioecho.base.histogram import Histogram, Percent, rank_of

THOROUGH = examples(300)

# Small numbers, numbers next to a power of two, and any others; all far beyond a duration in ns.
VALUES = st.one_of(
    st.integers(0, 300),
    st.builds(lambda bits, off: max(0, (1 << bits) + off), st.integers(0, 70), st.integers(-2, 2)),
    st.integers(0, 1 << 70),
)
COUNTED_VALUES = st.lists(st.tuples(VALUES, st.integers(1, 20)), max_size=30)
PERCENT_BY_EIGHTHS = st.integers(0, 800)


def histogram_of(*values: int) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def summary(histogram: Histogram) -> tuple[object, ...]:
    percentiles = [histogram.percentile(percent) for percent in range(101)]
    return histogram.count, histogram.total, histogram.max, histogram.mean, percentiles


def test_a_new_histogram_is_empty() -> None:
    empty = Histogram()
    assert (empty.count, empty.total, empty.max, empty.mean) == (0, 0, 0, None)
    assert [empty.percentile(percent) for percent in (0, 50, 100)] == [None, None, None]


def test_count_total_max_and_mean_are_exact() -> None:
    histogram = histogram_of(1_000_003, 7, 1_000_001)
    assert (histogram.count, histogram.total, histogram.max) == (3, 2_000_011, 1_000_003)
    assert histogram.mean == 2_000_011 / 3


def test_zero_is_a_value() -> None:
    histogram = histogram_of(0, 0)
    assert (histogram.count, histogram.total, histogram.max, histogram.mean) == (2, 0, 0, 0)
    assert histogram.percentile(50) == 0


@pytest.mark.parametrize(
    ("percent", "value"),
    [
        (0, 1),
        (0.5, 1),
        (1, 1),
        (1.01, 2),
        (49.5, 50),
        (50, 50),
        (50.01, 51),
        (99, 99),
        (99.9, 100),
        (100, 100),
    ],
)
def test_a_percentile_is_the_value_whose_rank_is_rounded_up(percent: float, value: int) -> None:
    assert histogram_of(*range(100, 0, -1)).percentile(percent) == value


def test_the_percentile_of_a_single_value_is_that_value() -> None:
    for value in (0, 1, 127, 128, 129, 10**9 + 7):
        assert {histogram_of(value).percentile(percent) for percent in (0, 1, 50, 99.9, 100)} == {value}


@pytest.mark.parametrize("value", [*range(128), 129, 255, 259, 511, (1 << 40) - 1])
def test_the_highest_value_of_a_bucket_is_read_back_exactly(value: int) -> None:
    assert histogram_of(value, 1 << 50).percentile(50) == value


@pytest.mark.parametrize(
    ("value", "read_back"), [(128, 129), (256, 259), (1000, 1007), (1 << 40, (1 << 40) + (1 << 34) - 1)]
)
def test_a_value_is_read_back_as_the_highest_of_its_bucket(value: int, read_back: int) -> None:
    assert histogram_of(value, 1 << 50).percentile(50) == read_back


def test_a_percentile_is_never_above_the_maximum() -> None:
    assert histogram_of(1000, 1000).percentile(50) == 1000


@THOROUGH
@given(recorded=COUNTED_VALUES.filter(bool), eighths=PERCENT_BY_EIGHTHS)
def test_a_percentile_is_never_too_low_and_at_most_a_64th_too_high(
    recorded: list[tuple[int, int]], eighths: int
) -> None:
    histogram = Histogram()
    for value, count in recorded:
        histogram.record(value, count)
    ordered = sorted(value for value, count in recorded for _ in range(count))
    rank = max(1, -(-len(ordered) * eighths // 800))
    exact = ordered[rank - 1]
    measured = histogram.percentile(eighths / 8)
    assert measured is not None
    assert exact <= measured <= ordered[-1]
    assert 64 * (measured - exact) <= exact


@THOROUGH
@given(recorded=COUNTED_VALUES)
def test_recording_with_a_count_is_recording_so_often(recorded: list[tuple[int, int]]) -> None:
    at_once, one_by_one = Histogram(), Histogram()
    for value, count in recorded:
        at_once.record(value, count)
        for _ in range(count):
            one_by_one.record(value)
    assert summary(at_once) == summary(one_by_one)
    assert at_once.total == sum(value * count for value, count in recorded)


@THOROUGH
@given(first=st.lists(VALUES, max_size=20), second=st.lists(VALUES, max_size=20))
def test_merging_is_recording_both(first: list[int], second: list[int]) -> None:
    merged, other = histogram_of(*first), histogram_of(*second)
    merged.merge(other)
    assert summary(merged) == summary(histogram_of(*first, *second))
    assert summary(other) == summary(histogram_of(*second))


@THOROUGH
@given(recorded=COUNTED_VALUES, later=VALUES)
def test_what_is_made_of_the_buckets_is_the_same_histogram(
    recorded: list[tuple[int, int]], later: int
) -> None:
    original = Histogram()
    for value, count in recorded:
        original.record(value, count)
    made = Histogram.from_buckets(original.buckets, original.total, original.max)
    assert summary(made) == summary(original)
    before = summary(original)
    made.record(later)
    assert summary(original) == before
    original.record(later)
    assert summary(made) == summary(original)


def test_the_buckets_are_a_copy() -> None:
    histogram = histogram_of(5, 5, 1000)
    buckets = histogram.buckets
    histogram.record(5)
    assert sorted(buckets.values()) == [1, 2]
    assert sorted(histogram.buckets.values()) == [1, 3]


def test_a_bucket_that_holds_nothing_makes_no_difference() -> None:
    assert summary(Histogram.from_buckets({7: 0}, 0, 0)) == summary(Histogram())


@pytest.mark.parametrize(
    ("buckets", "total", "largest", "words"),
    [
        ({-1: 1}, -1, -1, "no bucket has"),
        ({128: 1}, 0, 0, "no bucket has"),
        ({5: -1}, -5, 5, "negative"),
        ({}, 1, 0, "add up to 0 to 0, not to 1"),
        ({}, 0, 1, "the largest value"),
        ({5: 2}, 11, 5, "add up to 10 to 10, not to 11"),
        ({5: 2}, 10, 6, "the largest value"),
        ({5: 1, 7: 1}, 12, 5, "the largest value"),
        (histogram_of(1000).buckets, 1008, 1000, "add up to 1000 to 1007, not to 1008"),
        (histogram_of(1000).buckets, 999, 1000, "add up to 1000 to 1007, not to 999"),
        (histogram_of(1000).buckets, 1000, 1008, "the largest value"),
    ],
)
def test_what_no_histogram_can_have_held_is_an_error(
    buckets: Mapping[int, int], total: int, largest: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Histogram.from_buckets(buckets, total, largest)


@THOROUGH
@given(values=st.lists(st.one_of(VALUES, st.integers(1000, 1100)), max_size=60))
def test_many_that_are_recorded_together_are_each_recorded(values: list[int]) -> None:
    together = histogram_of(5)
    together.record_all(values)
    assert summary(together) == summary(histogram_of(5, *values))
    assert together.buckets == histogram_of(5, *values).buckets


def test_none_of_many_that_are_recorded_together_may_be_negative() -> None:
    histogram = Histogram()
    with pytest.raises(ValueError, match="-1"):
        histogram.record_all([3, -1])
    assert histogram.count == 0


def test_what_is_recorded_after_a_merge_goes_to_one_histogram_only() -> None:
    merged, other = Histogram(), histogram_of(5)
    merged.merge(other)
    merged.record(5)
    other.record(7)
    assert summary(merged) == summary(histogram_of(5, 5))
    assert summary(other) == summary(histogram_of(5, 7))


def test_a_value_that_did_not_occur_is_not_the_maximum() -> None:
    histogram = Histogram()
    histogram.record(1000, 0)
    histogram.record(1)
    assert (histogram.count, histogram.max, histogram.percentile(100)) == (1, 1, 1)


def test_negative_values_are_an_error_and_change_nothing() -> None:
    histogram = histogram_of(5)
    with pytest.raises(ValueError, match="no negative values such as -1"):
        histogram.record(-1)
    assert summary(histogram) == summary(histogram_of(5))


@pytest.mark.parametrize("percent", [-0.001, 100.001, -math.inf, math.inf, math.nan])
@pytest.mark.parametrize("histogram", [histogram_of(), histogram_of(5)], ids=["empty", "not empty"])
def test_a_percentile_is_between_0_and_100(histogram: Histogram, percent: float) -> None:
    with pytest.raises(ValueError, match=f"between 0 and 100, not {percent}"):
        histogram.percentile(percent)


@given(st.lists(st.integers(0, 1 << 40), max_size=50))
def test_steps_go_up_to_the_largest_value_and_count_all(values: list[int]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    steps = list(histogram.steps())
    assert steps == sorted(set(steps))
    assert steps[-1:] == ([(max(values), len(values))] if values else [])
    for highest, up_to in steps:
        assert sum(value <= highest for value in values) == up_to


def test_no_rounding_moves_the_rank_of_a_percentile() -> None:
    """In binary floating point 41,000 x 99.9 % is a little more than 40,959."""
    histogram = Histogram()
    histogram.record(1, 40_959)
    histogram.record(1000, 41)
    for percent in (99.9, "99.9", Fraction(999, 10), Decimal("99.9")):
        assert rank_of(41_000, percent) == 40_959
        assert histogram.percentile(percent) == 1
    assert histogram.percentile("99.90000001") == 1000


@THOROUGH
@given(
    count=st.integers(1, 10**6),
    digits=st.integers(0, 100 * 10**5),
    how=st.sampled_from([float, str, Decimal, Fraction]),
)
def test_a_rank_is_that_of_whole_numbers(count: int, digits: int, how: Callable[[str], Percent]) -> None:
    """The oracle: the lowest rank with rank / count >= percent / 100, in whole numbers alone."""
    percent = how(f"{digits // 10**5}.{digits % 10**5:05d}")
    rank = rank_of(count, percent)
    assert 1 <= rank <= count
    assert rank * 100 * 10**5 >= count * digits
    assert rank == 1 or (rank - 1) * 100 * 10**5 < count * digits


@pytest.mark.parametrize("percent", [-0.1, "100.1", math.nan, math.inf, "many", "1/0"])
def test_what_is_no_percent(percent: Percent) -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        rank_of(10, percent)


def test_no_value_has_a_rank_where_there_is_none() -> None:
    with pytest.raises(ValueError, match="of 0 values none has a rank"):
        rank_of(0, 50)


def test_what_was_recorded_since_is_known_exactly_up_to_its_largest_value() -> None:
    earlier, later = Histogram(), Histogram()
    for histogram in (earlier, later):
        histogram.record_all([5, 300, 1_000_000])
    later.record_all([7, 300, 2_000])
    since = later.since(earlier)
    assert (since.count, since.total) == (3, 2_307)
    assert 2_000 <= since.max <= 2_000 * 65 // 64
    assert later.since(later).count == 0
    assert later.since(Histogram()).buckets == later.buckets
    assert later.since(Histogram()).max == later.max
    earlier.record(9)
    with pytest.raises(ValueError, match="values that the later one has not"):
        later.since(earlier)

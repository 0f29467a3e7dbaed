"""A histogram of durations with a bounded relative error: log-linear buckets.

Values below 128 have a bucket each; every further power of two is divided into
64 equal buckets, so a value read back is at most 1/64 (1.6 %) too high. This is
the bucket scheme of HdrHistogram (http://hdrhistogram.org) with a precision of
seven binary digits. Only buckets that were used take memory.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

_PRECISION_BITS = 7

Percent = int | float | str | Decimal | Fraction
"""A percent; a float is the decimal number that it is written as: 99.9 is exactly 999/10."""


def exact_percent(percent: Percent) -> Fraction:
    """Return the percent as an exact number.

    Raises:
      ValueError: it is no number, or not from 0 to 100.
    """
    try:
        exact = Fraction(str(percent) if isinstance(percent, float) else percent)
    except (ArithmeticError, ValueError):  # infinite, or no number
        raise ValueError(f"a percentile is between 0 and 100, not {percent}") from None
    if not 0 <= exact <= 100:
        raise ValueError(f"a percentile is between 0 and 100, not {percent}")
    return exact


def rank_of(count: int, percent: Percent) -> int:
    """Return the rank, from 1, of the lowest of ``count`` values that ``percent`` % do not exceed.

    Nothing is rounded on the way: of 41,000 values p99.9 is the 40,959th.

    Raises:
      ValueError: there are no values, or ``percent`` is not from 0 to 100.
    """
    if count < 1:
        raise ValueError(f"of {count} values none has a rank")
    return max(1, math.ceil(count * exact_percent(percent) / 100))


def values_above(count: int, percent: Percent) -> int:
    """Return how many of ``count`` values are as large as a percentile of them, or larger."""
    return count - rank_of(count, percent) + 1 if count else 0


class Histogram:
    """Counts of whole, non-negative numbers; here always nanoseconds.

    Attributes:
      count: values recorded.
      total: their exact sum.
      max: the largest, exact; 0 when there is none.
    """

    __slots__ = ("_buckets", "count", "max", "total")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count: int = 0
        self.total: int = 0
        self.max: int = 0

    def record(self, value: int, count: int = 1) -> None:
        """Record ``value`` as having occurred ``count`` times.

        Raises:
          ValueError: the value is negative.
        """
        if value < 0:
            raise ValueError(f"a histogram holds no negative values such as {value}")
        if not count:
            return
        # As `_bucket`, without a call: every message passes here, some of them four times.
        shift = value.bit_length() - _PRECISION_BITS
        bucket = (shift << _PRECISION_BITS) + (value >> shift) if shift > 0 else value
        try:
            self._buckets[bucket] += count
        except KeyError:
            self._buckets[bucket] = count
        self.count += count
        self.total += value * count
        if value > self.max:
            self.max = value

    def record_all(self, values: Sequence[int]) -> None:
        """Record each of many values, those that share a bucket together.

        Raises:
          ValueError: a value is negative.
        """
        if not values:
            return
        in_order = sorted(values)
        if in_order[0] < 0:
            raise ValueError(f"a histogram holds no negative values such as {in_order[0]}")
        first = 0
        while first < len(in_order):
            bucket = _bucket(in_order[first])
            behind = bisect.bisect_right(in_order, _highest_value(bucket), first)
            self._buckets[bucket] = self._buckets.get(bucket, 0) + behind - first
            first = behind
        self.count += len(in_order)
        self.total += sum(in_order)
        self.max = max(self.max, in_order[-1])

    def merge(self, other: Histogram) -> None:
        """Add all that ``other`` holds; exact, as both have the same buckets."""
        buckets = self._buckets
        for bucket, count in other._buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
        self.count += other.count
        self.total += other.total
        self.max = max(self.max, other.max)

    @property
    def buckets(self) -> Mapping[int, int]:
        """The number of values in each used bucket, by the bucket's number; a copy.

        With `total` and `max` this is all that a histogram knows: `from_buckets`
        makes another of it, in this process or elsewhere.
        """
        return dict(self._buckets)

    def steps(self) -> Iterator[tuple[int, int]]:
        """Yield for each used bucket, upwards, its highest value and how many values do not exceed it."""
        up_to = 0
        for bucket in sorted(self._buckets):
            up_to += self._buckets[bucket]
            yield min(_highest_value(bucket), self.max), up_to

    def counts_up_to(self, bounds: Sequence[int]) -> list[int]:
        """Return for each of these bounds, upwards, how many values do not exceed it.

        A value counts as the highest of its bucket, which is at most 1.6 % too high: so
        a number that was returned never falls when more is recorded.
        """
        counts: list[int] = []
        used = sorted(self._buckets)
        index = up_to = 0
        for bound in bounds:
            while index < len(used) and _highest_value(used[index]) <= bound:
                up_to += self._buckets[used[index]]
                index += 1
            counts.append(up_to)
        return counts

    @classmethod
    def from_buckets(cls, buckets: Mapping[int, int], total: int, max: int) -> Histogram:
        """Return the histogram that had these `buckets`, this `total` and this `max`.

        Raises:
          ValueError: no histogram can have had them.
        """
        histogram = cls()
        histogram._buckets = {bucket: count for bucket, count in buckets.items() if count}
        histogram.count = sum(buckets.values())
        histogram.total = total
        histogram.max = max
        histogram._check()
        return histogram

    def _check(self) -> None:
        buckets = self._buckets
        if any(not _is_bucket(bucket) or count < 0 for bucket, count in buckets.items()):
            raise ValueError("there is a number that no bucket has, or a count that is negative")
        least = sum(_lowest_value(bucket) * count for bucket, count in buckets.items())
        most = sum(_highest_value(bucket) * count for bucket, count in buckets.items())
        if not least <= self.total <= most:
            raise ValueError(f"the values in these buckets add up to {least} to {most}, not to {self.total}")
        last = max(buckets, default=0)
        if not _lowest_value(last) <= self.max <= (_highest_value(last) if buckets else 0):
            raise ValueError(f"the largest value in these buckets is not {self.max}")

    def since(self, earlier: Histogram) -> Histogram:
        """Return what was recorded since this histogram was equal to ``earlier``.

        Its ``max`` is that of this one, or the highest value of its last bucket, if that is lower.

        Raises:
          ValueError: this one never was as ``earlier``.
        """
        before = earlier._buckets
        buckets = {bucket: count - before.get(bucket, 0) for bucket, count in self._buckets.items()}
        buckets = {bucket: count for bucket, count in buckets.items() if count}
        if sum(buckets.values()) != self.count - earlier.count:
            raise ValueError("the earlier histogram has values that the later one has not")
        most = min(self.max, _highest_value(max(buckets))) if buckets else 0
        return Histogram.from_buckets(buckets, self.total - earlier.total, most)

    @property
    def mean(self) -> float | None:
        """The exact mean; None when nothing was recorded."""
        return self.total / self.count if self.count else None

    @property
    def standard_deviation(self) -> float | None:
        """The deviation from the exact mean, each value in the middle of its bucket; None without values."""
        if not self.count:
            return None
        mean = self.total / self.count
        squares = sum(
            count * ((_lowest_value(bucket) + _highest_value(bucket)) / 2 - mean) ** 2
            for bucket, count in self._buckets.items()
        )
        return math.sqrt(squares / self.count)

    def percentile(self, percent: Percent, *, larger: int = 0) -> int | None:
        """Return the value that ``percent`` % of the recorded values do not exceed.

        As in HdrHistogram it is the highest value of its bucket: never too low,
        at most 1.6 % too high, and never above `max`. None when nothing was recorded.

        Args:
          percent: from 0 to 100.
          larger: how many values there are beside the recorded ones, each of them larger than all of
            these, and not known. If the value is one of them, it is None.

        Raises:
          ValueError: ``percent`` is not between 0 and 100.
        """
        exact = exact_percent(percent)
        if not self.count:
            return None
        rank = rank_of(self.count + larger, exact)
        if rank > self.count:
            return None
        for value, up_to in self.steps():
            if up_to >= rank:
                return value
        raise AssertionError("the buckets hold fewer values than were counted")


def _bucket(value: int) -> int:
    """Return magnitude and leading digits as one number that grows with the value."""
    shift = value.bit_length() - _PRECISION_BITS
    return (shift << _PRECISION_BITS) + (value >> shift) if shift > 0 else value


def _is_bucket(number: int) -> bool:
    # Leading digits begin with a 1, except in values that have fewer digits.
    return number >= 0 and (number < 1 << _PRECISION_BITS or number >> (_PRECISION_BITS - 1) & 1 == 1)


def _lowest_value(bucket: int) -> int:
    if bucket < 1 << _PRECISION_BITS:
        return bucket
    shift, digits = divmod(bucket, 1 << _PRECISION_BITS)
    return digits << shift


def _highest_value(bucket: int) -> int:
    if bucket < 1 << _PRECISION_BITS:
        return bucket
    shift, digits = divmod(bucket, 1 << _PRECISION_BITS)
    return ((digits + 1) << shift) - 1

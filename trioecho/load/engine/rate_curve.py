"""The rate of a schedule over time, its integral N(t), and the inverse of that: when a message is due.

The rate is made of stretches, in each of which it is constant or goes in a straight line. Numbers and times
at which stretches meet are exact, so each stretch has exactly the messages that its rates come to: message i
(from 0) is of the stretch in which N(t) leaves i behind. Inside a stretch times are rounded to nanoseconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import NamedTuple

from ...base.units import NS_PER_S


class Piece(NamedTuple):
    """What a stretch is made of: rates in messages/s, and the length in ns; infinity for the last."""

    from_rate: float
    to_rate: float
    length_ns: float


class Stretch:
    """A time in which the rate goes from one value to another in a straight line.

    Attributes:
      begins_ns: since the beginning of the schedule.
      ends_ns: when the next begins; infinity for the last.
      first: the first message that is due in it, from 0.
      stop: the first that is due after it; infinity if there is none.
      before: N(t) when it begins.
      due_ns: returns when one of its messages is due, in ns since the beginning of the schedule.

    Args:
      begins_ns: as the attribute.
      before: as the attribute.
      piece: its rates and its length.
    """

    def __init__(self, begins_ns: int, before: Fraction, piece: Piece) -> None:
        self.begins_ns: int = begins_ns
        self.ends_ns: float = begins_ns + piece.length_ns
        self.before: Fraction = before
        self.first: int = math.ceil(before)
        self._from_rate, to_rate = _per_ns(piece.from_rate), _per_ns(piece.to_rate)
        self._slope = Fraction(0)
        if piece.length_ns != math.inf:
            self._slope = (to_rate - self._from_rate) / int(piece.length_ns)
            self.stop: float = math.ceil(self.number_at(int(self.ends_ns)))
        else:
            self.stop = math.inf if self._from_rate else self.first
        self._floats = float(self._from_rate), float(self._slope), float(before)
        self.due_ns: Callable[[int], int] = self._ramped() if self._slope else self._constant()

    def number_at(self, time_ns: int) -> Fraction:
        """Return N(t) at a time of this stretch, exactly."""
        since_ns = time_ns - self.begins_ns
        return self.before + since_ns * (self._from_rate + self._slope * since_ns / 2)

    def reached_ns(self, place: float) -> float:
        """Return when N(t) reaches ``place`` in this stretch; infinity if it never does."""
        rate, slope, before = self._floats
        more = place - before
        if slope:
            since_ns = self._root(more)
        elif rate:
            since_ns = more / rate
        else:
            return math.inf
        return self._inside(since_ns)

    def _inside(self, since_ns: float) -> int:
        time_ns = self.begins_ns + round(since_ns)
        return max(self.begins_ns, time_ns if time_ns < self.ends_ns else int(self.ends_ns) - 1)

    def _constant(self) -> Callable[[int], int]:
        """Return `due_ns` of a constant rate: whole numbers alone, so that none is off by a nanosecond."""
        first, begins_ns, last_ns = self.first, self.begins_ns, self.ends_ns - 1
        if not self._from_rate:
            return lambda number: begins_ns  # which no message asks for
        distance = 1 / self._from_rate
        offset = first - self.before  # of the first message from the beginning, less than 1
        # (number - first + offset) * distance, and a half for rounding, on one denominator
        denominator = 2 * offset.denominator * distance.denominator
        factor = 2 * offset.denominator * distance.numerator
        summand = 2 * offset.numerator * distance.numerator + denominator // 2

        def due_ns(number: int) -> int:
            time_ns = begins_ns + ((number - first) * factor + summand) // denominator
            return time_ns if time_ns <= last_ns else int(last_ns)

        return due_ns

    def _ramped(self) -> Callable[[int], int]:
        first, offset = self.first, float(self.first - self.before)
        root, inside = self._root, self._inside
        return lambda number: inside(root(number - first + offset))

    def _root(self, more: float) -> float:
        """Return the positive t for which: slope / 2 t² + from_rate t = more."""
        begin, slope, _ = self._floats
        divisor = begin + math.sqrt(max(0.0, begin * begin + 2 * slope * more))
        return 2 * more / divisor if divisor else 0.0


class RateCurve:
    """Stretches, one after the other, of which the last has no end.

    Attributes:
      stretches: all of them.

    Args:
      pieces: of the stretches; at least one.
    """

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self.stretches: list[Stretch] = []
        begins_ns, before = 0, Fraction(0)
        for piece in pieces:
            stretch = Stretch(begins_ns, before, piece)
            self.stretches.append(stretch)
            if piece.length_ns != math.inf:
                begins_ns = int(stretch.ends_ns)
                before = stretch.number_at(begins_ns)
        self._begins_ns = [stretch.begins_ns for stretch in self.stretches]
        self._befores = [float(stretch.before) for stretch in self.stretches]

    def messages_until(self, time_ns: int) -> Fraction:
        """Return N(t): how many messages are due until then, as a number with a fraction."""
        return self._at(time_ns).number_at(time_ns)

    def due_ns(self, place: float) -> float:
        """Return when N(t) reaches ``place``; infinity if it never does."""
        return self.stretches[bisect_right(self._befores, place) - 1].reached_ns(place)

    def first_from(self, time_ns: int) -> int:
        """Return the first message that is due then or later."""
        stretch = self._at(time_ns)
        number = max(stretch.first, math.floor(stretch.number_at(time_ns)) - 1)
        while number < stretch.stop and stretch.due_ns(number) < time_ns:
            number += 1
        return number

    def _at(self, time_ns: int) -> Stretch:
        return self.stretches[bisect_right(self._begins_ns, time_ns) - 1]


def _per_ns(rate: float) -> Fraction:
    """Return messages/s as messages/ns: exactly the decimal number that the rate is written as."""
    return Fraction(str(rate)) / NS_PER_S

"""Sizes of payloads: ranges, each as often as its weight says."""

from __future__ import annotations

import bisect
import itertools
import math
from dataclasses import dataclass, field
from typing import NamedTuple


class SizeRange(NamedTuple):
    """Payload sizes in bytes, both ends included, and each as likely as the others.

    Attributes:
      least: the smallest.
      most: the largest.
      weight: how often a size is of this range, next to the other ranges' weights.
    """

    least: int
    most: int
    weight: float = 1.0

    def __str__(self) -> str:
        sizes = f"{self.least}" if self.least == self.most else f"{self.least}-{self.most}"
        return sizes if self.weight == 1 else f"{sizes}:{self.weight:g}"


@dataclass(frozen=True)
class Sizes:
    """Sizes of payloads: ranges with weights.

    ``Sizes.of(64)``, ``Sizes.of(64, 4096)``, ``Sizes((SizeRange(64, 64, 9), SizeRange(65536, 65536, 1)))``.

    Raises:
      ValueError: there is no range; one is empty or has a negative size; a weight
        is not a positive, finite number.
    """

    ranges: tuple[SizeRange, ...] = (SizeRange(64, 64),)
    _cumulative: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.ranges:
            raise ValueError("sizes need at least one range")
        for least, most, weight in self.ranges:
            if least < 0:
                raise ValueError(f"a size cannot be negative, as {least} is")
            if least > most:
                raise ValueError(f"a range of sizes goes from the smaller to the larger, not {least}-{most}")
            if not (math.isfinite(weight) and weight > 0):
                raise ValueError(f"the weight of a size must be more than 0, not {weight:g}")
        weights = itertools.accumulate(part.weight for part in self.ranges)
        object.__setattr__(self, "_cumulative", tuple(weights))

    @classmethod
    def of(cls, least: int, most: int | None = None) -> Sizes:
        """Return one size, or one range."""
        return cls((SizeRange(least, least if most is None else most),))

    @property
    def least(self) -> int:
        """The smallest size, in bytes."""
        return min(part.least for part in self.ranges)

    @property
    def most(self) -> int:
        """The largest size, in bytes."""
        return max(part.most for part in self.ranges)

    @property
    def mean(self) -> float:
        """The mean size, in bytes."""
        weighted = sum((part.least + part.most) / 2 * part.weight for part in self.ranges)
        return weighted / self._cumulative[-1]

    def at(self, quantile: float) -> int:
        """Return the size at a place of the distribution, from 0 up to, and without, 1."""
        place = quantile * self._cumulative[-1]
        index = min(bisect.bisect_right(self._cumulative, place), len(self.ranges) - 1)
        part = self.ranges[index]
        begins = self._cumulative[index] - part.weight
        within = (place - begins) / part.weight
        return min(part.most, part.least + int(within * (part.most - part.least + 1)))

    def __str__(self) -> str:
        return ",".join(map(str, self.ranges))

"""What a plot shows, as numbers and words; `drawing` draws it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple


@dataclass(frozen=True)
class PlotLine:
    """A line of a plot.

    Attributes:
      name: what the legend calls it; empty for no entry.
      points: x and y; a gap where y is None.
    """

    name: str
    points: Sequence[tuple[float, float | None]]


class PlotBand(NamedTuple):
    """A part of the x axis that has a name.

    Attributes:
      begin, end: of the part.
      name: is written above it, where there is room.
      short_name: is written in its place where there is not.
    """

    begin: float
    end: float
    name: str
    short_name: str


class HeatColumn(NamedTuple):
    """How often values came within a part of the x axis.

    Attributes:
      begin, end: of the part.
      counts: how many values there were up to each height, from the height before it: upwards, the
        first from `lowest`.
      lowest: where the lowest of them begins.
    """

    begin: float
    end: float
    counts: Sequence[tuple[float, int]]
    lowest: float


class PlotNote(NamedTuple):
    """What is shown while a person points at a part of the x axis.

    Attributes:
      begin, end: of the part.
      lines: of text, each short enough for a phone.
    """

    begin: float
    end: float
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Plot:
    """What is to be drawn.

    Attributes:
      name: unique on the page; letters and hyphens.
      description: for those who do not see it.
      x_label, y_label: of the axes, with units.
      lines: at most three.
      nines: whether x is a percentile, on the scale of nines; else it is linear.
      log: whether y is logarithmic.
      marks: points to mark, as objectives: x, y and a label.
      bands: parts of the x axis, every other one of which is shaded.
      outages: from which x to which nothing could be measured.
      limits: heights at which a line goes through the plot, as objectives: y and a label.
      heat: how often which heights came, beside each other; below the lines.
      notes: what is shown where a person points.
    """

    name: str
    description: str
    x_label: str
    y_label: str
    lines: Sequence[PlotLine]
    nines: bool = False
    log: bool = False
    marks: Sequence[tuple[float, float, str]] = field(default_factory=tuple)
    bands: Sequence[PlotBand] = field(default_factory=tuple)
    outages: Sequence[tuple[float, float]] = ()
    limits: Sequence[tuple[float, str]] = ()
    heat: Sequence[HeatColumn] = ()
    notes: Sequence[PlotNote] = ()


def nines(percent: float | Fraction) -> float:
    """Return a percentile's place on the scale of nines: 90 % at 1, 99 % at 2, 99.9 % at 3."""
    return -math.log10(1 - percent / 100)

"""Draw how often values came over time: the more of them, the darker."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from .plot import HeatColumn

# Shades that can be told apart; one path of the drawing each.
_SHADES = 6
_LIGHTEST, _DARKEST = 0.1, 0.8

_Box = tuple[float, float, float, float]


def add_heat_map(axes: Any, columns: Sequence[HeatColumn], colour: str) -> None:
    """Draw the columns below all else."""
    boxes: list[list[_Box]] = [[] for _ in range(_SHADES)]
    most = max((count for column in columns for _, count in column.counts), default=0)
    for column in columns:
        for box, shade in _shaded(column, most):
            boxes[shade].append(box)
    paths, patches = (importlib.import_module(f"matplotlib.{name}") for name in ("path", "patches"))
    for shade, of_shade in enumerate(boxes):
        if of_shade:
            path = paths.Path.make_compound_path(*(_rectangle(paths.Path, box) for box in of_shade))
            alpha = _LIGHTEST + (_DARKEST - _LIGHTEST) * shade / (_SHADES - 1)
            axes.add_patch(patches.PathPatch(path, facecolor=colour, alpha=alpha, linewidth=0, zorder=1))


def _shaded(column: HeatColumn, most: int) -> Iterator[tuple[_Box, int]]:
    """Yield boxes with their shades; those of one shade that touch are one."""
    begin, end = column.lowest, column.lowest
    shade = -1
    for height, count in column.counts:
        # By its logarithm: a single slow reply among thousands is seen, too.
        # The quotient comes first: of the most frequent it is 1, and not a little more.
        found = math.ceil(_SHADES * (math.log1p(count) / math.log1p(most))) - 1 if count else -1
        if found != shade:
            if shade >= 0:
                yield (column.begin, begin, column.end, end), shade
            begin, shade = end, found
        end = height
    if shade >= 0:
        yield (column.begin, begin, column.end, end), shade


def _rectangle(path_class: Any, box: _Box) -> Any:
    left, low, right, high = box
    return path_class([(left, low), (right, low), (right, high), (left, high), (left, low)], closed=True)

"""A load's time series as columns of a plot, and how many replies of each took how long."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import LoadInterval
from .plot import HeatColumn

# More would be narrower than a person can point at.
_MOST_COLUMNS = 100
# By the logarithm of the latency where that is the scale.
_ROWS = 28
_MS = 1e6


def columns_of(steps: Sequence[LoadInterval]) -> list[LoadInterval]:
    """Return the time series with so many steps joined that each is a column that can be seen."""
    joined = math.ceil(len(steps) / _MOST_COLUMNS)
    return [together(steps[first : first + joined]) for first in range(0, len(steps), joined)]


def together(steps: Sequence[LoadInterval]) -> LoadInterval:
    """Return several steps as one."""
    whole = LoadInterval(steps[0].t_s, math.fsum(step.width_s for step in steps))
    for step in steps:
        whole.add(step)
    return whole


def heat_of(columns: Sequence[LoadInterval], *, log: bool) -> list[HeatColumn]:
    """Return how many replies took how long, in rows that are of one height on the plot's scale."""
    found = [step.latency_ns for step in columns if step.latency_ns.count]
    if not found:
        return []
    lowest = min(next(latency.steps())[0] for latency in found) / _MS
    highest = max(latency.max for latency in found) / _MS
    least = min(lowest, highest) * 0.97 if log else 0.0
    ratio = highest / least if log and least else 1.0
    heights = [
        least * ratio ** (row / _ROWS) if ratio > 1 else highest * row / _ROWS for row in range(1, _ROWS + 1)
    ]
    heights[-1] = highest
    columns_of_heat = []
    for step in columns:
        counts, below, row = [0] * _ROWS, 0, 0
        for value_ns, up_to in step.latency_ns.steps():
            while row < _ROWS - 1 and value_ns / _MS > heights[row]:
                row += 1
            counts[row] += up_to - below
            below = up_to
        columns_of_heat.append(
            HeatColumn(step.t_s, step.t_s + step.width_s, list(zip(heights, counts, strict=True)), least)
        )
    return columns_of_heat

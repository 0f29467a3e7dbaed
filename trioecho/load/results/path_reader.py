"""Read from JSON what the kernel knew of the path; it may be damaged."""

from __future__ import annotations

from ...base.json_part import Part
from .measured_parts import read_histogram
from .path_counts import COUNTS, HISTOGRAMS, LEAST, PathCounts
from .path_result import PathResult


def read_path_counts(part: Part) -> PathCounts:
    """Return what `PathCounts.to_dict` described.

    Raises:
      DamagedError: it is something else.
    """
    counts = PathCounts()
    for name in COUNTS:
        if name in part or name != "needless":  # files of older versions have none
            setattr(counts, name, part[name].count())
    for name in LEAST:
        setattr(counts, name, part[name].read(int | None))
    for name in HISTOGRAMS:
        setattr(counts, name, read_histogram(part[name]))
    if counts.congestion_window.count < counts.rtt_ns.count:
        raise part.wrong("there are more round trips than congestion windows, which are read with them")
    return counts


def read_path_result(part: Part) -> PathResult:
    """Return the result that a part of a document is.

    Raises:
      DamagedError: it is none.
    """
    return PathResult(read_path_counts(part), part["connections"].count(), part["missing"].text())

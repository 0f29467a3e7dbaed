"""Load whose numbers hold up: every reply compared, times from when a message was due, an eye on itself.

`LoadPlan` says what is to be done, `run_load` does it, `LoadResult` is what came of it.
"""

from __future__ import annotations

from .errors import CannotConnectError, TooManyConnectionsError, WorkerFailedError
from .merging import merge
from .plan import LoadPlan, Ramp, SizeRange, Sizes
from .result import Discrepancy, Interval, LoadResult, Progress, SelfWatch, UnreadableResultError
from .run import LoadRun, run_load

__all__ = [
    "CannotConnectError",
    "Discrepancy",
    "Interval",
    "LoadPlan",
    "LoadResult",
    "LoadRun",
    "Progress",
    "Ramp",
    "SelfWatch",
    "SizeRange",
    "Sizes",
    "TooManyConnectionsError",
    "UnreadableResultError",
    "WorkerFailedError",
    "merge",
    "run_load",
]

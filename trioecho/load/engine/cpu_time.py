"""The CPU time that this process has used, and how it came by a CPU."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_SCHEDSTAT = Path("/proc/self/schedstat")
_SCHEDSTAT_BYTES = 100  # it is three numbers


def cpu_and_waiting_ns() -> tuple[int, int]:
    """Return the CPU time of this process, and for how long it waited for a CPU; 0 where no Linux says so.

    The second number of /proc/self/schedstat is the "time spent waiting on a runqueue"
    (Documentation/scheduler/sched-stats.rst) of the main thread.
    """
    try:
        waiting = int(_SCHEDSTAT.read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        waiting = 0
    return time.process_time_ns(), waiting


class WaitingTime:
    """For how long this thread has waited for a CPU, which can be asked for in a few microseconds."""

    def __init__(self) -> None:
        self._file: int | None = None
        with contextlib.suppress(OSError):  # no Linux, or one that does not say
            self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)

    def ns(self) -> int:
        """Return the time, as `cpu_and_waiting_ns` has it of the main thread; 0 where no Linux says so."""
        if self._file is None:
            return 0
        try:
            return int(os.pread(self._file, _SCHEDSTAT_BYTES, 0).split()[1])
        except (OSError, ValueError, IndexError):
            return 0

    def close(self) -> None:
        """Ask for it no more."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def times_taken_away() -> int:
    """Return how often a CPU was taken away from this thread, for others; 0 where no Linux says so."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    if not hasattr(resource, "RUSAGE_THREAD"):
        return 0
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw

"""The CPU time that this process has used, and how it came by a CPU."""

from __future__ import annotations

import time
from pathlib import Path

_SCHEDSTAT = Path("/proc/self/schedstat")


def cpu_and_waiting_ns() -> tuple[int, int]:
    """Return the CPU time of this process, and for how long it waited for a CPU; see `waiting_ns`."""
    return time.process_time_ns(), waiting_ns()


def waiting_ns() -> int:
    """Return for how long this process waited for a CPU; 0 where no Linux says so.

    The second number of /proc/self/schedstat is the "time spent waiting on a runqueue"
    (Documentation/scheduler/sched-stats.rst) of the main thread.
    """
    try:
        return int(_SCHEDSTAT.read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def times_taken_away() -> int:
    """Return how often a CPU was taken away from this thread, for others; 0 where no Linux says so."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    if not hasattr(resource, "RUSAGE_THREAD"):
        return 0
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw

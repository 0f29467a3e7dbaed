"""What the system knows of processes, by ``/proc``: of no use where there is none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

_PROC = Path("/proc")


def is_running(pid: int) -> bool:
    """Return whether a process is there and has not ended."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for stat in _PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The second field, a name in brackets, may have blanks in it.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        new = children.get(waiting.pop(), [])
        found += new
        waiting += new
    return found


def sum_of(pids: list[int], measure: Callable[[int], int]) -> int | None:
    """Return the sum of a measure over processes; None if it cannot be had of the first."""
    try:
        return sum(map(measure, pids[:1])) + sum(_or_zero(measure, pid) for pid in pids[1:])
    except (OSError, ValueError):
        return None


def _or_zero(measure: Callable[[int], int], pid: int) -> int:
    try:
        return measure(pid)
    except (OSError, ValueError):
        return 0  # it has ended meanwhile


def status_bytes(pid: int, field: str) -> int:
    """Return a field of ``/proc/PID/status`` that is an amount of memory.

    Raises:
      OSError: it cannot be read.
      ValueError: it has no such field.
    """
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise ValueError(field)


def count_descriptors(pid: int) -> int:
    """Return how many files a process has open.

    Raises:
      OSError: it cannot be read.
    """
    return sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())


def processes_with(variable: str, value: str) -> list[int]:
    """Return the processes that have this in their environment, as far as it may be read."""
    wanted = f"{variable}={value}".encode()
    found = []
    for file in _PROC.glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in file.read_bytes().split(b"\0"):
                found.append(int(file.parent.name))
    return found

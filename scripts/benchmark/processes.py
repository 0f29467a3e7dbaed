"""Servers: processes of their own, on a processor of their own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from trioecho.base.child_server import ChildServer, ChildServerError, open_child_server
from trioecho.base.processes import Program

# Nothing waits that long when all is well, nor on a machine that is merely busy.
_START_S = 60.0


class BenchError(Exception):
    """A server or a load did not do what it was started for; the message is one line."""


@dataclass(frozen=True)
class Cpus:
    """Where processes run.

    Attributes:
      server: the processor of the server; None if it cannot be chosen here.
      load: that of the load; None as well, or if there is only one.
      note: what a reader of the numbers should know about them.
    """

    server: int | None
    load: int | None
    note: str


def choose_cpus() -> Cpus:
    """Return two processors of this process, on two cores if there are two."""
    if not hasattr(os, "sched_getaffinity"):
        return Cpus(
            None,
            None,
            "this system places processes as it likes: server and load may have disturbed each other",
        )
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) == 1:
        return Cpus(None, None, "one processor: server and load took turns on it, so rates say little")
    server = allowed[0]
    siblings = _siblings(server)
    apart = [cpu for cpu in allowed if cpu not in siblings]
    if apart:
        return Cpus(server, apart[0], f"server on processor {server}, load on processor {apart[0]}")
    return Cpus(
        server,
        allowed[1],
        f"server and load on processors {server} and {allowed[1]}, two threads of one core",
    )


def _siblings(cpu: int) -> set[int]:
    """Return the processors that share a core with this one, itself included, as far as Linux shows."""
    topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        ranges = [part.split("-") for part in topology.read_text().strip().split(",")]
    except OSError:
        return {cpu}
    return {cpu, *(number for ends in ranges for number in range(int(ends[0]), int(ends[-1]) + 1))}


def cpu_time_s(pid: int) -> float:
    """Return the processor time of a process so far, of all its threads, user and system.

    Raises:
      BenchError: there is no such process, or this system does not show it.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "clock_getcpuclockid"):  # POSIX; exact to the nanosecond on Linux
        clock = ctypes.c_int()
        if library.clock_getcpuclockid(pid, ctypes.byref(clock)) == 0:
            return time.clock_gettime(clock.value)
    command = ["/bin/ps", "-o", "time=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = 0.0
    try:
        for part in re.split("[-:]", shown.stdout.strip()):  # minutes:seconds.hundredths on macOS
            seconds = seconds * 60 + float(part)
    except ValueError:
        raise BenchError(f"process {pid} is gone, or this system does not show its processor time") from None
    return seconds


def kernel_and_user_ticks(pid: int) -> tuple[int, int] | None:
    """Return the processor time of a process in the kernel and out of it; None without a ``/proc``."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # a name may have spaces
    except OSError:
        return None
    return int(fields[12]), int(fields[11])


def resident_kib(pid: int) -> float:
    """Return the memory that a process holds.

    Raises:
      BenchError: there is no such process, or no ``/proc``.
    """
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        raise BenchError(f"process {pid} is gone, or this system has no /proc") from None
    return pages * os.sysconf("SC_PAGESIZE") / 1024


@contextlib.asynccontextmanager
async def running_server(
    program: Program, cpu: int | None = None, on_output_line: Callable[[str], object] | None = None
) -> AsyncIterator[ChildServer]:
    """Start a server, wait until it writes to stderr where it listens; kill it at the end.

    Raises:
      BenchError: it ended, or wrote nothing.
    """

    def place(pid: int) -> None:
        if cpu is not None:
            os.sched_setaffinity(pid, {cpu})  # long before it starts a thread

    try:
        async with open_child_server(
            program, start_timeout_s=_START_S, kill_after_s=0, on_start=place, on_output_line=on_output_line
        ) as server:
            yield server
    except ChildServerError as error:
        raise BenchError(str(error)) from None

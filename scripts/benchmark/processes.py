"""Servers and the load on them: processes of their own, each on a processor of its own."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

# Nothing waits that long when all is well, nor on a machine that is merely busy.
_START_S = 60.0
_REPLY_S = 60.0
_END_S = 5.0

# Exit codes of `trioecho load`: no error; none, but it had no processor time left.
_ALL_RIGHT, _SATURATED = 0, 5


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
    """Two processors of this process's, not two threads of one core if that can be had."""
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
    """The processors that share a core with this one, itself included, as far as Linux tells."""
    topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        ranges = [part.split("-") for part in topology.read_text().strip().split(",")]
    except OSError:
        return {cpu}
    return {cpu, *(number for ends in ranges for number in range(int(ends[0]), int(ends[-1]) + 1))}


def cpu_time_s(pid: int) -> float:
    """Processor time that a process has used so far, of all its threads, user and system.

    Raises:
      BenchError: there is no such process, or this system does not tell.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "clock_getcpuclockid"):  # POSIX; exact to the nanosecond on Linux
        clock = ctypes.c_int()
        if library.clock_getcpuclockid(pid, ctypes.byref(clock)) == 0:
            return time.clock_gettime(clock.value)
    command = ["/bin/ps", "-o", "time=", "-p", str(pid)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = 0.0
    try:
        for part in re.split("[-:]", told.stdout.strip()):  # minutes:seconds.hundredths on macOS
            seconds = seconds * 60 + float(part)
    except ValueError:
        raise BenchError(f"process {pid} is gone, or this system does not tell its processor time") from None
    return seconds


@dataclass(frozen=True)
class RunningServer:
    """A server that listens."""

    pid: int
    port: int


@contextlib.asynccontextmanager
async def running_server(command: Sequence[str], cpu: int | None = None) -> AsyncIterator[RunningServer]:
    """Start ``python COMMAND``, wait until it says on stderr where it listens; kill it at the end.

    Raises:
      BenchError: it ended, or said nothing.
    """
    process = await trio.lowlevel.open_process(
        [sys.executable, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        if cpu is not None:
            os.sched_setaffinity(process.pid, {cpu})  # long before it starts a thread
        yield RunningServer(process.pid, await _listening_port(process))
    finally:
        await _kill(process)


async def _listening_port(process: trio.Process) -> int:
    assert process.stderr is not None  # noqa: S101 - for type checkers: a pipe was asked for
    said = b""
    with trio.move_on_after(_START_S):
        async for piece in process.stderr:
            said += piece
            if match := re.search(rb"listening on 127\.0\.0\.1:(\d+)\n", said):
                return int(match[1])
    raise BenchError(f"the server did not start: {_last_line(said) or 'it said nothing'}")


async def _kill(process: trio.Process) -> None:
    process.kill()
    with trio.move_on_after(_END_S, shield=True):
        await process.wait()
    if process.stderr is not None:
        await process.stderr.aclose()


@dataclass(frozen=True)
class Load:
    """What came of a load whose every reply was right.

    Attributes:
      messages: replies verified.
      elapsed_s: how long it lasted.
      cpu_share: part of a processor that it used meanwhile.
    """

    messages: int
    elapsed_s: float
    cpu_share: float


async def run_load(port: int, connections: int, pipeline: int, size: str, duration_s: float) -> Load:
    """Send messages for so long, each connection with so many in flight.

    Raises:
      BenchError: a reply was wrong, or did not come.
    """
    command = [sys.executable, "-m", "trioecho", "load", f"127.0.0.1:{port}", "--quiet", "--json", "-"]
    command += ["--connections", str(connections), "--pipeline", str(pipeline)]
    command += ["--size", size, "--duration", f"{duration_s:g}s", "--timeout", f"{_REPLY_S:g}s"]
    with trio.move_on_after(duration_s + 2 * _REPLY_S):
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        if done.returncode not in (_ALL_RIGHT, _SATURATED):
            raise BenchError(f"the load failed: {_why(done.stdout, done.stderr) or done.returncode}")
        result = json.loads(done.stdout)
        return Load(result["messages"], result["elapsed_s"], max(result["generator"]["cpu_shares"]))
    raise BenchError("the load did not end: neither it nor the server does anything")


def _why(output: bytes, log: bytes) -> str:
    """The errors in the load's result; if there is no result, what it said instead."""
    try:
        errors = json.loads(output)["errors"]
    except (ValueError, KeyError):
        return _last_line(log)
    return ", ".join(f"{count} {kind}" for kind, count in errors.items())


def _last_line(text: bytes) -> str:
    return text.decode(errors="replace").strip().rpartition("\n")[2]

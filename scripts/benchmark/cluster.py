"""What ``trioecho load --cluster`` costs beside the same load without it, and how late its messages are."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import trio

from .compare import Means
from .contenders import ECHO, PEERS, Contender
from .processes import BenchError, Cpus, cpu_time_s, running_server
from .table import markdown, spread

_ALL_RIGHT, _SATURATED = 0, 5
# The start and the end of a cluster, on a machine that is busy.
_MOST_BESIDE_S = 300.0
_LOOK_S = 0.2
_ENGINE = b"trioecho.load.processes.worker"

# Each of a cluster beside what does the same without one.
_LOADS: dict[str, tuple[str, ...]] = {
    "3,000/s, --workers 3": ("--rate", "3000", "--workers", "3"),
    "3,000/s, --cluster local:3": ("--rate", "3000", "--cluster", "local:3"),
    "30,000/s, --workers 3": ("--rate", "30000", "--workers", "3"),
    "30,000/s, --cluster local:3": ("--rate", "30000", "--cluster", "local:3"),
}
_CLUSTER = ("--cluster", "local:1")
_BESIDE: dict[str, tuple[str, ...]] = {"without, again": (), "--cluster local:1": _CLUSTER}

_NOTES = """\
Messages per second of the engines' own processor time; how much of a processor all other processes
of the load use (the command, its bridge, Dask's scheduler and workers); how late messages left, 99 %
of them, and how far from its moment the start of the worst engine was, in ms. Medians of
interleaved repetitions, in brackets the lowest and the highest.
Where three engines and the server have fewer than four processors, they wait for one another.
"""
_NOTES_BESIDE = """\
Two loads at the same time, with one engine each, in a closed loop; one of them is without a cluster.
Where there are two processors, the engines share one, and all others have the other one. So whatever
the machine does to one engine it does to the other: the ratio of their messages per second of the
engine's own processor time moves by a few hundredths, where one run and the next differ by tenths.
"""


# A time of the day, and the processor time of each process so far.
_Look = tuple[float, dict[int, float]]


@dataclass(frozen=True)
class _Figures:
    messages_per_cpu_s: float
    others_percent: float
    late_ms: float | None
    start_ms: float | None


async def measure_cluster(means: Means, on_turn: Callable[[str], object]) -> str:
    """Return tables of what was measured.

    Raises:
      BenchError: the server or a load failed.
    """
    figures: dict[str, list[_Figures]] = {name: [] for name in _LOADS}
    beside: dict[str, list[tuple[_Figures, _Figures]]] = {name: [] for name in _BESIDE}
    contender = _server()
    async with running_server(contender.start(1 << 20)) as server:
        for repetition in range(means.repeats):
            turn = f"cluster, {repetition + 1} of {means.repeats}: "
            for name, options in _LOADS.items():
                on_turn(turn + name)
                figures[name].append(await _Load(server.port, options, means.seconds).run())
    async with running_server(contender.start(1 << 20), means.cpus.server) as server:
        for repetition in range(means.repeats):
            turn = f"cluster, {repetition + 1} of {means.repeats}: closed loop, "
            for name, options in _BESIDE.items():
                on_turn(turn + name)
                beside[name].append(await _measure_beside(server.port, options, means))
    rows = [["load", "messages per engine's processor s", "others, %", "late p99, ms", "start, ms"]]
    for name, of_name in figures.items():
        columns = zip(*(astuple(each) for each in of_name), strict=True)
        known = [spread(value for value in column if value is not None) for column in columns]
        rows.append([name, *(str(each or "") for each in known)])
    rows_beside = [["closed loop", "messages, / without a cluster", "others, %"]]
    for name, pairs in beside.items():
        ratios = spread(one.messages_per_cpu_s / other.messages_per_cpu_s for one, other in pairs)
        rows_beside.append([name, str(ratios), str(spread(one.others_percent for one, _ in pairs))])
    server_line = f"The server is {contender.name}.\n"
    return f"{markdown(rows)}\n\n{_NOTES}{server_line}\n{markdown(rows_beside)}\n\n{_NOTES_BESIDE}"


def _server() -> Contender:
    """Return what needs the least of the processors: the server in C, where that can be built."""
    [fast] = [peer for peer in PEERS if peer.name == "C epoll"]
    return fast if fast.why_missing() is None else Contender("trioecho", ECHO.arguments)


async def _measure_beside(port: int, options: Sequence[str], means: Means) -> tuple[_Figures, _Figures]:
    """Return the figures of a load with one engine, and of one without a cluster at the same time.

    Raises:
      BenchError: one of them failed.
    """
    one, other = (_Load(port, each, means.seconds, means.cpus) for each in (options, ()))
    found: dict[_Load, _Figures] = {}
    failures: list[BenchError] = []
    async with trio.open_nursery() as nursery:

        async def run(load: _Load) -> None:
            try:
                found[load] = await load.run()
            except BenchError as error:
                failures.append(error)
                nursery.cancel_scope.cancel()
            load.has_engine.set()  # or nobody would ever see it

        nursery.start_soon(run, one)
        await one.has_engine.wait()  # which needs about as long to begin as the other load does
        nursery.start_soon(run, other)
    if failures:
        raise failures[0]
    return found[one], found[other]


class _Load:
    """A load command, and what is seen of its processes from outside.

    Attributes:
      has_engine: set when its engine, or one of them, has started.

    Args:
      port: of the server.
      options: of the command; without any it has its engine in its own process.
      seconds: how long it lasts.
      cpus: where its engine and the others are to run; None for where the kernel likes.
    """

    def __init__(self, port: int, options: Sequence[str], seconds: float, cpus: Cpus | None = None) -> None:
        self.has_engine = trio.Event()
        self._port = port
        self._options = options
        self._seconds = seconds
        self._cpus = cpus
        self._looks: list[_Look] = []

    async def run(self) -> _Figures:
        """Run it to its end, and return its figures.

        Raises:
          BenchError: it failed, or did not end.
        """
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "load.json"
            failure = ""
            command = [sys.executable, "-m", "trioecho", "load", f"127.0.0.1:{self._port}", "--quiet"]
            command += ["--json", str(file), "--duration", f"{self._seconds:g}s", *self._options]
            with trio.move_on_after(self._seconds + _MOST_BESIDE_S) as most:
                async with trio.open_nursery() as nursery:

                    async def run(task_status: trio.TaskStatus[trio.Process]) -> None:
                        nonlocal failure
                        done = await trio.run_process(
                            command,
                            capture_stderr=True,
                            check=False,
                            # Linux gives sessions equal shares of a processor.
                            start_new_session=True,
                            task_status=task_status,
                        )
                        if done.returncode not in (_ALL_RIGHT, _SATURATED):
                            said = done.stderr.decode(errors="replace").strip()
                            failure = f"the load failed: {said.rpartition(chr(10))[2]}"
                        nursery.cancel_scope.cancel()

                    process: trio.Process = await nursery.start(run)
                    if self._cpus is not None:
                        _place(process.pid, self._cpus.server)  # its children inherit that
                    while True:
                        self._look(process.pid)
                        await trio.sleep(_LOOK_S)
            if failure or most.cancelled_caught:
                raise BenchError(failure or "the load did not end")
            return _figures_of(json.loads(file.read_text()), self._looks)

    def _look(self, load: int) -> None:
        """Note what the processes have used, and where engines have their place."""
        used = {}
        for pid in _family(load):
            try:
                is_engine = pid == load and not self._options
                if is_engine or _ENGINE in Path(f"/proc/{pid}/cmdline").read_bytes():
                    if self._cpus is not None and not self.has_engine.is_set():
                        _place(pid, self._cpus.load)
                    self.has_engine.set()
                else:
                    used[pid] = cpu_time_s(pid)
            except (OSError, BenchError):  # it has ended
                continue
        self._looks.append((time.time(), used))


def _place(pid: int, cpu: int | None) -> None:
    if cpu is not None:
        os.sched_setaffinity(pid, {cpu})


def _figures_of(result: Any, looks: Sequence[_Look]) -> _Figures:
    begins = datetime.fromisoformat(result["time"].replace("Z", "+00:00")).timestamp()
    within = [each for each in looks if begins <= each[0] <= begins + result["elapsed_s"]]
    if len(within) < 2:
        raise BenchError("the load was over before anybody had looked at it twice: give it more --seconds")
    (first_s, before), (last_s, after) = within[0], within[-1]
    others_s = sum(cpu_s - before.get(pid, cpu_s) for pid, cpu_s in after.items())
    generator = result["generator"]
    engines_s = result["elapsed_s"] * sum(generator["cpu_shares"])
    return _Figures(
        result["messages"] / engines_s,
        100 * others_s / (last_s - first_s),
        generator["send_lateness_ms"]["p99"],
        max((worker["start_error_ms"] for worker in result["workers"]), default=None),
    )


def _family(root: int) -> list[int]:
    """Return a process and all that have come from it, as Linux knows them."""
    family = [root]
    for pid in family:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                family += map(int, children.read_text().split())
            except OSError:  # it has ended
                continue
    return family

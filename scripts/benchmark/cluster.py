"""What ``trioecho load --cluster`` costs beside the same load without it, and how late its messages are."""

from __future__ import annotations

import json
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
from .contenders import ECHO, Contender
from .processes import BenchError, cpu_time_s, running_server
from .table import markdown, spread

_ALL_RIGHT, _SATURATED = 0, 5
# The start and the end of a cluster, on a machine that is busy.
_MOST_BESIDE_S = 300.0
_LOOK_S = 0.05
_ENGINE = b"trioecho.load.processes.worker"

# Each beside what does the same without a cluster.
_LOADS: dict[str, tuple[str, ...]] = {
    "closed loop": (),
    "closed loop, --cluster local:1": ("--cluster", "local:1"),
    "3,000/s, --workers 3": ("--rate", "3000", "--workers", "3"),
    "3,000/s, --cluster local:3": ("--rate", "3000", "--cluster", "local:3"),
    "30,000/s, --workers 3": ("--rate", "30000", "--workers", "3"),
    "30,000/s, --cluster local:3": ("--rate", "30000", "--cluster", "local:3"),
}

_NOTES = """\
Messages per second of the engines' own processor time; how much of a processor all other processes
of the load use (the command, its bridge, Dask's scheduler and workers); how late messages left, 99 %
of them, and how far from its moment the start of the worst engine was, in ms. Medians of
interleaved repetitions, in brackets the lowest and the highest.
Where three engines and the server have fewer than four processors, they wait for one another.
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
    """Return a table of what was measured.

    Raises:
      BenchError: the server or a load failed.
    """
    figures: dict[str, list[_Figures]] = {name: [] for name in _LOADS}
    async with running_server(Contender("trioecho", ECHO.arguments).start(1 << 20)) as server:
        for repetition in range(means.repeats):
            for name, options in _LOADS.items():
                on_turn(f"cluster, {repetition + 1} of {means.repeats}: {name}")
                figures[name].append(await _measure(server.port, options, means.seconds))
    rows = [["load", "messages per engine's processor s", "others, %", "late p99, ms", "start, ms"]]
    for name, of_name in figures.items():
        columns = zip(*(astuple(each) for each in of_name), strict=True)
        known = [spread(value for value in column if value is not None) for column in columns]
        rows.append([name, *(str(each or "") for each in known)])
    return f"{markdown(rows)}\n\n{_NOTES}"


async def _measure(port: int, options: Sequence[str], seconds: float) -> _Figures:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "load.json"
        command = [sys.executable, "-m", "trioecho", "load", f"127.0.0.1:{port}", "--quiet"]
        command += ["--json", str(file), "--duration", f"{seconds:g}s", *options]
        looks: list[_Look] = []
        with trio.move_on_after(seconds + _MOST_BESIDE_S) as most:
            async with trio.open_nursery() as nursery:

                async def run(task_status: trio.TaskStatus[trio.Process]) -> None:
                    done = await trio.run_process(
                        command, capture_stderr=True, check=False, task_status=task_status
                    )
                    if done.returncode not in (_ALL_RIGHT, _SATURATED):
                        said = done.stderr.decode(errors="replace").strip()
                        raise BenchError(f"the load failed: {said.rpartition(chr(10))[2]}")
                    nursery.cancel_scope.cancel()

                load: trio.Process = await nursery.start(run)
                while True:
                    looks.append((time.time(), _cpu_of_others(load.pid, is_engine=not options)))
                    await trio.sleep(_LOOK_S)
        if most.cancelled_caught:
            raise BenchError("the load did not end")
        return _figures_of(json.loads(file.read_text()), looks)


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


def _cpu_of_others(load: int, *, is_engine: bool) -> dict[int, float]:
    """Return the processor time of all processes of a load so far, except its engines."""
    used = {}
    for pid in _family(load):
        try:
            if _ENGINE in Path(f"/proc/{pid}/cmdline").read_bytes() or (is_engine and pid == load):
                continue
            used[pid] = cpu_time_s(pid)
        except (OSError, BenchError):  # it has ended
            continue
    return used


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

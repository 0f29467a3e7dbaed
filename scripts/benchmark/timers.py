"""How late a timer of another task fires while the server is under load."""

from __future__ import annotations

import json
from collections.abc import Sequence

import trio

from trioecho.base.child_server import ChildServerError

from .compare import Means
from .contenders import BUILDS, SERVERS, Contender, name_of
from .processes import BenchError, running_server
from .table import markdown, spread
from .workloads import Workload

_END_S = 60.0

_NOTES = """\
A task that sleeps 2 ms again and again runs beside the server: by how many microseconds it
wakes late; medians of repetitions, in brackets the lowest and the highest. Without load
that is what Trio and the kernel's clock take.
"""


def timer_server(build: str) -> Contender:
    """Return a server with a task that notes how late it wakes."""
    arguments = (str(SERVERS / "trioecho_timer.py"), "{max_frame_length}")
    return Contender(name_of(build), arguments, package=BUILDS[build])


async def lateness_us(contender: Contender, workload: Workload | None, means: Means) -> dict[str, float]:
    """Return percentiles, by their names: ``p50``, ``p99``, ``max``; without a workload, of a server at rest.

    Raises:
      BenchError: the server or the load failed.
    """
    lines: list[str] = []
    program = contender.start(1 << 20 if workload is None else workload.max_frame_length)
    async with running_server(program, means.cpus.server, lines.append) as server:
        if workload is None:
            await trio.sleep(means.seconds)
        else:
            await means.run_load(server, workload, means.seconds)
        server.terminate()
        try:
            await server.wait_ended(_END_S)
        except ChildServerError as error:
            raise BenchError(str(error)) from None
    late: dict[str, float] = json.loads(lines[-1])
    return late


async def measure_timers(builds: Sequence[str], workloads: Sequence[Workload], means: Means) -> str:
    """Return a table of what was measured, without load and under each.

    Raises:
      BenchError: a server or a load failed.
    """
    rows = [["late by, in us", "50 %", "99 %", "at most"]]
    loads: list[Workload | None] = [None, *workloads]
    for workload in loads:
        late: dict[str, list[dict[str, float]]] = {build: [] for build in builds}
        for _ in range(means.repeats):
            for build in builds:
                late[build].append(await lateness_us(timer_server(build), workload, means))
        for build, of_build in late.items():
            figures = [str(spread(each[name] for each in of_build)) for name in ("p50", "p99", "max")]
            rows.append([f"{name_of(build)}: {workload.title if workload else 'no load'}", *figures])
    return f"{markdown(rows)}\n\n{_NOTES}"

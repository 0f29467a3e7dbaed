"""What a thousand hostile HTTP connections do to the echo's latency beside ``--admin``.

They want processor time, too, and the kernel's. What that does to the echo without any admin pages shows
when they attack those of another process, in which nobody echoes, on the load's processor.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import astuple, dataclass

import trio

from trioecho.base.child_server import ChildServer

from .compare import Means
from .contenders import ECHO, Contender
from .loads import thinking_load
from .processes import cpu_time_s, running_server
from .table import markdown, spread

ATTACKERS = 1000
_CONNECTIONS = 20
_THINK_S = 0.01
# So long the load runs before it is measured, and before they attack.
_WARMUP_S = 1.0

_NOTES = f"""\
{_CONNECTIONS} clients send 64 B, wait for the echo, and {1000 * _THINK_S:g} ms more: how many
milliseconds the echo takes, and how much of its processor the server uses.
{ATTACKERS:,} hostile connections begin with what is measured.
"Elsewhere" they attack another process, on the load's processor: what the echo suffers then is the
machine's doing. Medians of repetitions, in brackets the lowest and the highest.
"""


@dataclass(frozen=True)
class _Figures:
    p50_ms: float
    p99_ms: float
    p999_ms: float
    server_percent: float


NOBODY, ELSEWHERE, HERE = "nobody", "1,000 elsewhere", "1,000 at --admin"


async def measure_admin(means: Means, on_turn: Callable[[str], object]) -> str:
    """Return a table of what was measured.

    Raises:
      BenchError: a server or the load failed.
    """
    figures: dict[str, list[_Figures]] = {name: [] for name in (NOBODY, ELSEWHERE, HERE)}
    for repetition in range(means.repeats):
        names = list(figures)
        for name in names[repetition % 3 :] + names[: repetition % 3]:
            on_turn(f"admin, {repetition + 1} of {means.repeats}: {name}")
            figures[name].append(await _measure(name, means))
    rows = [["attackers", "50 %", "99 %", "99.9 %", "server's processor, %"]]
    for name, of_name in figures.items():
        columns = zip(*(astuple(each) for each in of_name), strict=True)
        rows.append([name, *(str(spread(column)) for column in columns)])
    return f"{markdown(rows)}\n\n{_NOTES}"


async def _measure(attacked: str, means: Means) -> _Figures:
    async with (
        _service(means.cpus.server) as (server, port),
        _service(means.cpus.load) as (other, other_port),
    ):
        _give_way(other.pid)
        async with trio.open_nursery() as nursery:
            if attacked != NOBODY:
                target = port if attacked == HERE else other_port
                nursery.start_soon(_attack, target)
            before_s = cpu_time_s(server.pid)
            load = await thinking_load(server.port, _CONNECTIONS, _THINK_S, _WARMUP_S, means.seconds)
            share = (cpu_time_s(server.pid) - before_s) / (_WARMUP_S + means.seconds)
            nursery.cancel_scope.cancel()
    latency = load["latency_ms"]
    return _Figures(latency["p50"], latency["p99"], latency["p99.9"], 100 * share)


@contextlib.asynccontextmanager
async def _service(cpu: int | None) -> AsyncIterator[tuple[ChildServer, int]]:
    port = _free_port()
    contender = Contender("trioecho", (*ECHO.arguments, "--admin", f"127.0.0.1:{port}"))
    async with running_server(contender.start(1 << 20), cpu) as server:
        yield server, port


def _give_way(pid: int) -> None:
    """Let the load, which is on the same processor, run first."""
    if hasattr(os, "SCHED_IDLE"):
        before_all = os.sched_getscheduler(0) == os.SCHED_RR  # chrt -r has placed the benchmark there
        os.sched_setscheduler(pid, os.SCHED_OTHER if before_all else os.SCHED_IDLE, os.sched_param(0))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


async def _attack(port: int) -> None:
    command = [
        sys.executable,
        "-m",
        "scripts.benchmark.hostile_http",
        str(port),
        str(ATTACKERS),
        f"{_WARMUP_S:g}",
    ]
    async with trio.open_nursery() as nursery:
        attackers = await nursery.start(trio.run_process, command)
        _give_way(attackers.pid)

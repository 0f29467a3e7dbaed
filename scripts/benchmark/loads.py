"""The load on a server: a client in C where there is a compiler, and else ``trioecho load``."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from trioecho.base.child_server import ChildServer
from trioecho.cli.shared import values

from .builds import NotBuiltError, c_program
from .processes import BenchError, cpu_time_s
from .workloads import Workload

# Under this load first, unmeasured: caches fill, allocators and kernel buffers grow.
_WARMUP_S = 0.3

# Nothing waits that long when all is well, nor on a machine that is merely busy.
_REPLY_S = 60.0

# Exit codes of `trioecho load`: no error; none, but it had no processor time left.
_ALL_RIGHT, _SATURATED = 0, 5


@dataclass(frozen=True)
class Load:
    """What came of a load whose every reply was right.

    Attributes:
      messages: replies verified.
      elapsed_s: how long it lasted.
      server_cpu_s: processor time that the server used for it.
      load_share: part of its processor that the load used.
      p50_us: half of the replies came within this many microseconds.
      p99_us: 99 % of them.
      all_messages: those before and after it, too.
    """

    messages: int
    elapsed_s: float
    server_cpu_s: float
    load_share: float
    p50_us: float
    p99_us: float
    all_messages: int


RunLoad = Callable[[ChildServer, Workload, float], Awaitable[Load]]
"""Warms the server up and then measures so many seconds; raises `BenchError`."""


async def c_load(server: ChildServer, workload: Workload, seconds: float) -> Load:
    """Run the client in C, which never keeps a server waiting; under TLS ``trioecho load``.

    Raises:
      BenchError: a reply was wrong, or did not come.
      NotBuiltError: there is no C compiler, or not Linux.
    """
    if workload.is_tls:
        return await trioecho_load(server, workload, seconds)
    sizes = values.size_range(workload.size)
    numbers: list[float] = [server.port, workload.connections, workload.pipeline, sizes.least, sizes.most]
    numbers += [seconds * workload.time_scale, _WARMUP_S * workload.time_scale, server.pid]
    with trio.move_on_after(seconds * workload.time_scale + 2 * _REPLY_S):
        done = await trio.run_process(
            [str(c_program("load_client.c")), *map(str, numbers)],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"the load failed: {_last_line(done.stderr) or done.returncode}")
        result = json.loads(done.stdout)
        result["load_share"] = result.pop("load_cpu_s") / result["elapsed_s"]
        return Load(**result)
    raise BenchError("the load did not end: neither it nor the server does anything")


async def trioecho_load(server: ChildServer, workload: Workload, seconds: float) -> Load:
    """Run ``trioecho load`` twice: to warm up, and to be measured.

    Raises:
      BenchError: a reply was wrong, or did not come.
    """
    warm_up = await _run_trioecho_load(server.port, workload, _WARMUP_S * workload.time_scale)
    before_s = cpu_time_s(server.pid)
    result = await _run_trioecho_load(server.port, workload, seconds * workload.time_scale)
    if not result["messages"]:
        raise BenchError("no reply came while it was measured")
    return Load(
        messages=result["messages"],
        elapsed_s=result["elapsed_s"],
        server_cpu_s=cpu_time_s(server.pid) - before_s,
        load_share=max(result["generator"]["cpu_shares"]),
        p50_us=result["latency_ms"]["p50"] * 1e3,
        p99_us=result["latency_ms"]["p99"] * 1e3,
        all_messages=warm_up["messages"] + result["messages"],
    )


def choose_load(name: str | None) -> RunLoad:
    """Return the load of that name, ``c`` or ``trioecho``; of None, the one in C if it can be built.

    Raises:
      NotBuiltError: the one in C is asked for, and there is no compiler.
    """
    if name == "trioecho":
        return trioecho_load
    try:
        c_program("load_client.c")
    except NotBuiltError:
        if name == "c":
            raise
        return trioecho_load
    return c_load


def describe_load(run_load: RunLoad) -> str:
    """Return what a reader of the numbers should know about the load."""
    if run_load is c_load:
        return "load: the client in C"
    return "load: trioecho load, which is slower than some of the servers"


async def _run_trioecho_load(port: int, workload: Workload, duration_s: float) -> Any:
    command = [sys.executable, "-m", "trioecho", "load", f"127.0.0.1:{port}", "--quiet", "--json", "-"]
    command += ["--connections", str(workload.connections), "--pipeline", str(workload.pipeline)]
    command += ["--size", workload.size, "--duration", f"{duration_s:g}s", "--timeout", f"{_REPLY_S:g}s"]
    command += ["--tls", "--insecure"] if workload.is_tls else []
    return await _run_load(command, duration_s)


async def thinking_load(
    port: int, connections: int, think_s: float, warmup_s: float, duration_s: float
) -> Any:
    """Run ``trioecho load`` with pauses between messages of 64 B; return its result, as its ``--json``.

    Other than an open loop, it leaves some of its processor to others.

    Raises:
      BenchError: a reply was wrong, or did not come.
    """
    command = [sys.executable, "-m", "trioecho", "load", f"127.0.0.1:{port}", "--quiet", "--json", "-"]
    command += ["--connections", str(connections), "--think", f"{think_s:g}s", "--timeout", f"{_REPLY_S:g}s"]
    command += ["--warmup", f"{warmup_s:g}s", "--duration", f"{duration_s:g}s"]
    return await _run_load(command, warmup_s + duration_s)


async def _run_load(command: Sequence[str], duration_s: float) -> Any:
    with trio.move_on_after(duration_s + 2 * _REPLY_S):
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        if done.returncode not in (_ALL_RIGHT, _SATURATED):
            raise BenchError(f"the load failed: {_why(done.stdout, done.stderr) or done.returncode}")
        return json.loads(done.stdout)
    raise BenchError("the load did not end: neither it nor the server does anything")


def _why(output: bytes, log: bytes) -> str:
    """Return the errors in the load's result; if there is no result, what it wrote instead."""
    try:
        errors = json.loads(output)["errors"]
    except (ValueError, KeyError):
        return _last_line(log)
    return ", ".join(f"{count} {kind}" for kind, count in errors.items())


def _last_line(text: bytes) -> str:
    return text.decode(errors="replace").strip().rpartition("\n")[2]

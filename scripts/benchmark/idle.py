"""What a connection costs that does nothing: memory, and processor time."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Sequence

import trio

from trioecho import encode_frame

from .compare import Means
from .contenders import Contender
from .processes import BenchError, cpu_time_s, resident_kib, running_server
from .table import markdown, spread

_WIRE = encode_frame(bytes(64))

# After the last echo, until a server has put away what it needed for it.
_SETTLE_S = 0.3
_ECHO_S = 60.0

_NOTES = """\
Each connection has had one echo of 64 B, and then nothing: resident memory of the server beyond
that before the first, divided by their number; the processor time that the silence takes, of all
connections together. Medians of repetitions, in brackets the lowest and the highest.
"""


async def idle_cost(contender: Contender, connections: int, means: Means) -> tuple[float, float]:
    """Return KiB of a connection, and milliseconds of processor time in a second.

    Raises:
      BenchError: the server failed, or an echo did not come.
    """
    async with contextlib.AsyncExitStack() as resources:
        program = contender.start(1 << 20)
        server = await resources.enter_async_context(running_server(program, means.cpus.server))
        before_kib = 0.0
        # The first connection brings in what all need.
        for number in range(connections + 1):
            stream = await trio.open_tcp_stream("127.0.0.1", server.port)
            await resources.enter_async_context(stream)
            await _echo_once(stream)
            if not number:
                await trio.sleep(_SETTLE_S)
                before_kib = resident_kib(server.pid)
        await trio.sleep(_SETTLE_S)
        kib = (resident_kib(server.pid) - before_kib) / connections
        before_s = cpu_time_s(server.pid)
        await trio.sleep(means.seconds)
        return kib, (cpu_time_s(server.pid) - before_s) / means.seconds * 1000


async def _echo_once(stream: trio.SocketStream) -> None:
    received = b""
    with trio.move_on_after(_ECHO_S):
        await stream.send_all(_WIRE)
        while received != _WIRE:
            part = await stream.receive_some()
            received += part
            if not part or not _WIRE.startswith(received):
                raise BenchError("a reply was wrong")
        return
    raise BenchError("a reply did not come")


async def measure_idle(
    contenders: Sequence[Contender], connections: int, means: Means, on_turn: Callable[[str], object]
) -> str:
    """Return a table of what was measured; a server that fails has its reason there."""
    raise_open_files()
    costs: dict[str, list[tuple[float, float]]] = {contender.name: [] for contender in contenders}
    reasons: dict[str, str] = {}
    for repetition in range(means.repeats):
        for contender in contenders:
            on_turn(f"idle, {repetition + 1} of {means.repeats}: {contender.name}")
            try:
                costs[contender.name].append(await idle_cost(contender, connections, means))
            except BenchError as error:
                reasons[contender.name] = str(error)
    rows = [[f"{connections:,} idle connections", "KiB of each", "CPU, ms/s of all"]]
    for name, of_server in costs.items():
        kib, cpu = (spread(cost[number] for cost in of_server) for number in (0, 1))
        rows.append([name, str(kib or "-"), str(cpu or reasons[name])])
    return f"{markdown(rows)}\n\n{_NOTES}"


def raise_open_files() -> None:
    """Let this process, and the servers that it starts, have as many open files as it may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):  # more than the system has for a process
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

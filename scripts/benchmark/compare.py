"""The sitting: servers that take turns under the same load, and what each run of one was."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .processes import BenchError, Cpus, cpu_time_s, run_load, running_server

_SERVERS = Path(__file__).parent / "servers"

# Under this load first, unmeasured: caches fill, allocators and kernel buffers grow.
_WARMUP_S = 0.3


@dataclass(frozen=True)
class Contender:
    """A server to be measured.

    Attributes:
      name: as in tables.
      command: what Python is started with; the limit of a frame's length goes behind it.
      module: what must be installed for it.
    """

    name: str
    command: tuple[str, ...]
    module: str | None = None

    @property
    def is_installed(self) -> bool:
        """Whether it can run here."""
        return self.module is None or importlib.util.find_spec(self.module) is not None


def _peer(name: str, file: str, *options: str, module: str | None = None) -> Contender:
    return Contender(name, (str(_SERVERS / file), "{max_frame_length}", *options), module)


TRIOECHO = Contender(
    "trioecho", ("-m", "trioecho", "serve", "--port", "0", "--max-frame-length", "{max_frame_length}")
)
TRIOECHO_REPLY = _peer("trioecho, a handler", "trioecho_reply.py")
ASYNCIO_PROTOCOL = _peer("asyncio Protocol", "asyncio_protocol.py")
UVLOOP_PROTOCOL = _peer("uvloop Protocol", "asyncio_protocol.py", "uvloop", module="uvloop")
PEERS = (
    _peer("plain Trio", "trio_plain.py"),
    _peer("threads", "threads.py"),
    _peer("asyncio streams", "asyncio_streams.py"),
    ASYNCIO_PROTOCOL,
    _peer("uvloop streams", "asyncio_streams.py", "uvloop", module="uvloop"),
    UVLOOP_PROTOCOL,
    _peer("Twisted Int32", "twisted_int32.py", module="twisted"),
    _peer("AnyIO", "anyio_buffered.py", module="anyio"),
    _peer("gevent", "gevent_stream.py", module="gevent"),
)


@dataclass(frozen=True)
class Workload:
    """What the load does.

    Attributes:
      name: as on the command line.
      connections: how many.
      pipeline: messages in flight on each.
      size: payload, as ``trioecho load --size`` takes it.
      max_frame_length: limit that the servers are given, in bytes.
      has_handler: whether every message goes through a function of the user's.
      time_scale: how much longer than others it takes to see enough.
    """

    name: str
    connections: int
    pipeline: int
    size: str
    max_frame_length: int = 1 << 20
    has_handler: bool = False
    time_scale: float = 1.0

    @property
    def title(self) -> str:
        """For who reads of it the first time."""
        connections = "1 connection" if self.connections == 1 else f"{self.connections} connections"
        title = f"{connections}, {self.pipeline} in flight, {self.spaced_size}"
        return f"{title}, with a handler" if self.has_handler else title

    @property
    def short_title(self) -> str:
        """Connections x in flight, payload; the same with a handler and without."""
        return f"{self.connections} x {self.pipeline}, {self.spaced_size}"

    @property
    def spaced_size(self) -> str:
        """As people write it: ``64 KiB``."""
        return re.sub(r"(\d)([A-Z])", r"\1 \2", self.size)

    @property
    def first(self) -> Contender:
        """The server that the others are compared with."""
        return TRIOECHO_REPLY if self.has_handler else TRIOECHO

    @property
    def peers(self) -> tuple[Contender, ...]:
        """Those that do the same work."""
        return (ASYNCIO_PROTOCOL, UVLOOP_PROTOCOL) if self.has_handler else PEERS


# Sizes that differ from message to message under pipelining, so that nothing is
# gained by guessing that the next is like the last.
WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("one", 1, 1, "64B"),
        Workload("many", 100, 1, "64B"),
        Workload("pipelined", 100, 64, "16-112B"),
        Workload("bulk", 8, 4, "64KiB"),
        Workload("huge", 2, 2, "16MiB", max_frame_length=16 << 20, time_scale=2),
        Workload("many-handler", 100, 1, "64B", has_handler=True),
        Workload("pipelined-handler", 100, 64, "16-112B", has_handler=True),
    )
}


@dataclass(frozen=True)
class Run:
    """One server under one load.

    Attributes:
      messages: echoes, each verified.
      elapsed_s: how long the load lasted.
      server_cpu_s: processor time that the server used for it.
      load_share: part of its processor that the load used.
    """

    messages: int
    elapsed_s: float
    server_cpu_s: float
    load_share: float

    @property
    def messages_per_cpu_s(self) -> float:
        """What the server's code costs, whoever was the bottleneck."""
        return self.messages / self.server_cpu_s

    @property
    def messages_per_s(self) -> float:
        """What came through both sides together."""
        return self.messages / self.elapsed_s

    @property
    def server_share(self) -> float:
        """Part of its processor that the server used."""
        return self.server_cpu_s / self.elapsed_s


@dataclass(frozen=True)
class Failure:
    """A run that came to nothing, and why, in a line."""

    reason: str


Runs = Mapping[str, Sequence[Run | Failure]]
"""The runs of each server, by its name, in the order of the repetitions."""

AGAIN = "trioecho, again"
"""The first server, measured a second time as if it were a peer: the noise of the sitting."""


async def measure(contender: Contender, workload: Workload, seconds: float, cpus: Cpus) -> Run | Failure:
    """A fresh server, warmed up and then measured."""
    command = [part.format(max_frame_length=workload.max_frame_length) for part in contender.command]
    load = (workload.connections, workload.pipeline, workload.size)
    try:
        async with running_server(command, cpus.server) as server:
            await run_load(server.port, *load, _WARMUP_S * workload.time_scale)
            before_s = cpu_time_s(server.pid)
            result = await run_load(server.port, *load, seconds * workload.time_scale)
            server_cpu_s = cpu_time_s(server.pid) - before_s
    except BenchError as error:
        return Failure(str(error))
    return Run(result.messages, result.elapsed_s, server_cpu_s, result.cpu_share)


async def compare(
    workload: Workload,
    peers: Sequence[Contender],
    *,
    seconds: float,
    repeats: int,
    cpus: Cpus,
    on_turn: Callable[[str], object],
) -> dict[str, list[Run | Failure]]:
    """Measure all servers, again and again, beginning each repetition with another one.

    A machine changes its pace within minutes. What is compared lies seconds
    apart, and no server is always the first, with whatever that brings.
    """
    turns = [(peer.name, peer) for peer in peers]
    turns.insert(0, (workload.first.name, workload.first))
    turns.insert(1 + len(peers) // 2, (AGAIN, workload.first))  # as far from the first as peers are
    runs: dict[str, list[Run | Failure]] = {name: [] for name, _ in turns}
    for repetition in range(repeats):
        shift = repetition * len(turns) // repeats
        for name, contender in turns[shift:] + turns[:shift]:
            on_turn(f"{workload.name}, {repetition + 1} of {repeats}: {name}")
            runs[name].append(await measure(contender, workload, seconds, cpus))
    return runs

"""Servers that take turns under the same load, and what each run of one was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .contenders import Contender
from .instructions import Counted, counting
from .loads import RunLoad
from .processes import BenchError, Cpus, kernel_and_user_ticks, running_server
from .workloads import Workload


@dataclass(frozen=True)
class Run:
    """One server under one load.

    Attributes:
      messages: echoes, each verified.
      elapsed_s: how long the load lasted.
      server_cpu_s: processor time that the server used for it.
      load_share: part of its processor that the load used.
      p50_us: half of the echoes were back within this many microseconds.
      p99_us: 99 % of them.
      instructions: of the server's program for a message; None if they could not be counted.
      kernel_share: part of its processor time that the server spent in the kernel; None if unknown.
    """

    messages: int
    elapsed_s: float
    server_cpu_s: float
    load_share: float
    p50_us: float = 0.0
    p99_us: float = 0.0
    instructions: float | None = None
    kernel_share: float | None = None

    @property
    def messages_per_cpu_s(self) -> float:
        """The cost of the server's code, whether it or the load was the bottleneck; 0 if it did not run."""
        return self.messages / self.server_cpu_s if self.server_cpu_s else 0.0

    @property
    def messages_per_s(self) -> float:
        """The rate that came through both sides together."""
        return self.messages / self.elapsed_s

    @property
    def server_share(self) -> float:
        """The part of its processor that the server used."""
        return self.server_cpu_s / self.elapsed_s


@dataclass(frozen=True)
class Failure:
    """A run without a result, and the reason, in a line."""

    reason: str


Runs = Mapping[str, Sequence[Run | Failure]]
"""The runs of each server, by its name, in the order of the repetitions."""

AGAIN = ", again"
"""Behind the name of the first server, measured a second time as if it were a peer: the noise."""


@dataclass(frozen=True)
class Means:
    """How a sitting measures.

    Attributes:
      run_load: what plays the clients.
      seconds: length of a run.
      repeats: how often each server is measured.
      cpus: where server and load run.
      counts_instructions: whether ``perf`` counts those of the server.
    """

    run_load: RunLoad
    seconds: float
    repeats: int
    cpus: Cpus
    counts_instructions: bool = False


async def measure(contender: Contender, workload: Workload, means: Means) -> Run | Failure:
    """Start a fresh server, warm it up and then measure it."""
    try:
        async with (
            running_server(contender.start(workload.max_frame_length), means.cpus.server) as server,
            counting(server.pid) if means.counts_instructions else _not_counting() as counted,
        ):
            before = kernel_and_user_ticks(server.pid)
            load = await means.run_load(server, workload, means.seconds)
            after = kernel_and_user_ticks(server.pid)
    except BenchError as error:
        return Failure(str(error))
    return Run(
        load.messages,
        load.elapsed_s,
        load.server_cpu_s,
        load.load_share,
        load.p50_us,
        load.p99_us,
        None if counted.instructions is None else counted.instructions / load.all_messages,
        _kernel_share(before, after),
    )


def _kernel_share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    if before is None or after is None or before == after:
        return None
    kernel, user = (end - begin for begin, end in zip(before, after, strict=True))
    return kernel / (kernel + user)


def _not_counting() -> contextlib.AbstractAsyncContextManager[Counted]:
    return contextlib.nullcontext(Counted())


async def compare(
    workload: Workload, contenders: Sequence[Contender], means: Means, on_turn: Callable[[str], object]
) -> dict[str, list[Run | Failure]]:
    """Measure all servers, again and again, beginning each repetition with another one.

    A machine changes its pace within minutes. What is compared lies seconds
    apart, and no server is always the first, with whatever that brings.
    """
    turns = [(contender.name, contender) for contender in contenders]
    first = contenders[0]
    turns.insert((len(turns) + 1) // 2, (first.name + AGAIN, first))  # as far from the first as others are
    runs: dict[str, list[Run | Failure]] = {name: [] for name, _ in turns}
    for repetition in range(means.repeats):
        shift = repetition * len(turns) // means.repeats
        for name, contender in turns[shift:] + turns[:shift]:
            on_turn(f"{workload.name}, {repetition + 1} of {means.repeats}: {name}")
            runs[name].append(await measure(contender, workload, means))
    return runs

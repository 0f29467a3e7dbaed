"""A load, or a part of one, in this process."""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from importlib import metadata

import trio

from .connecting import Opened, open_connections
from .connection import RECEIVE_BYTES, LoadConnection
from .engine import Engine
from .errors import TooManyToWaitForError
from .payloads import Library
from .plan import LoadPlan
from .poller import Poller, open_poller
from .result import NS_PER_S, Interval, LoadResult, Machine, Progress
from .schedule import Schedule
from .tally import Tally

# How long the engine may keep Trio's other tasks from their turn.
_TURN_NS = 2_000_000
# After so long without anything to do it waits through Trio, which costs nothing.
_IDLE_NS = 20_000_000
# ... and looks at its clocks so often; what is due before the next look but one is not left to Trio.
_IDLE_WAIT_S = 0.02

CONNECTING = Progress("connecting", 0.0, Interval(0.0, 0.0), 0, 0, {}, 0, None)


class LocalRun:
    """The part of a load that some of its connections have.

    Args:
      plan: of the whole load.
      first: the first of the connections.
      count: how many.
      on_progress: called with a `Progress` every ``progress_interval_s``; must return at once.
      progress_interval_s: seconds.
      when_to_start: awaited when all is ready; gives the time of `time.perf_counter_ns`.
    """

    def __init__(
        self,
        plan: LoadPlan,
        first: int,
        count: int,
        *,
        on_progress: Callable[[Progress], object],
        progress_interval_s: float,
        when_to_start: Callable[[], Awaitable[int]] | None = None,
    ) -> None:
        self._plan = plan
        self._on_progress = on_progress
        self._progress_interval_ns = round(progress_interval_s * NS_PER_S)
        self._first, self._count = first, count
        self._when_to_start = when_to_start
        self._engine: Engine | None = None
        self._is_stopped = False
        self._started_at = datetime.now(timezone.utc)

    def stop(self) -> None:
        """As `LoadRun.stop`."""
        self._is_stopped = True
        if self._engine is not None:
            self._engine.stop()

    async def run(self) -> LoadResult:
        """As `LoadRun.run`, for this part."""
        plan = self._plan
        tally = Tally(plan)
        with open_poller() as poller:
            if poller.most_sockets is not None and self._count > poller.most_sockets:
                raise TooManyToWaitForError(self._count, poller.most_sockets)
            self._on_progress(CONNECTING)
            opened = await open_connections(plan, self._first, self._count)
            try:
                connections = await self._make_connections(opened, tally, poller)
                engine = self._engine = self._make_engine(connections, tally, poller)
                for number, reason in opened.failures.items():
                    tally.add_error("connect_failed", number, 0, detail=reason)
                await self._drive(engine, poller)
                result = engine.result()
            finally:
                opened.close()
        result.connect_ns = opened.connect_ns
        result.connections_opened = len(opened.sockets)
        result.started_at = self._started_at
        result.machines = [this_machine()]
        return result

    async def _make_connections(
        self, opened: Opened, tally: Tally, poller: Poller
    ) -> dict[int, LoadConnection]:
        plan = self._plan
        library = Library(plan)
        buffer = memoryview(bytearray(RECEIVE_BYTES))
        connections = {}
        for number, connection in sorted(opened.sockets.items()):
            connections[poller.register(connection)] = LoadConnection(
                number,
                connection,
                library.reel(number),
                tally,
                format=plan.format,
                largest=plan.sizes.most,
                buffer=buffer,
                clock=time.perf_counter_ns,
            )
            if not number % 64:
                await trio.lowlevel.checkpoint()
        return connections

    def _make_engine(self, connections: dict[int, LoadConnection], tally: Tally, poller: Poller) -> Engine:
        plan = self._plan
        if not plan.is_open:
            planned = None if plan.messages is None else plan.messages * self._count
            return Engine(plan, connections, tally, poller, planned=planned)
        schedule = Schedule(plan)
        due = schedule.due(self._first, self._count)
        return Engine(plan, connections, tally, poller, due=due, planned=schedule.planned)

    async def _start(self) -> int:
        """Wait until it is time to start; when that was, or is."""
        if self._when_to_start is None:
            return time.perf_counter_ns()
        start_at = await self._when_to_start()
        # On a busy machine the moment may have passed.
        await trio.sleep(max(0.0, (start_at - time.perf_counter_ns()) / NS_PER_S))
        return start_at

    async def _drive(self, engine: Engine, poller: Poller) -> None:
        """Give the engine its turns until it is over, and others theirs in between."""
        # What exists now will be there at the end: collections need not look at it.
        gc.collect()
        gc.freeze()
        try:
            start_at = await self._start()
            now = time.perf_counter_ns()
            self._started_at = datetime.now(timezone.utc)
            next_progress = start_at + self._progress_interval_ns
            engine.start(start_at)
            if self._is_stopped:
                engine.stop()
            busy_at = now
            while not engine.is_over:
                turn_ends = now + _TURN_NS
                while now < turn_ends and not engine.is_over:
                    if engine.turn():
                        busy_at = now
                    now = time.perf_counter_ns()
                if now >= next_progress:
                    next_progress += self._progress_interval_ns
                    self._on_progress(engine.take_progress())
                if now - busy_at < _IDLE_NS or engine.next_due < now + 2 * _IDLE_NS:
                    await trio.lowlevel.checkpoint()
                else:
                    await poller.rest(_IDLE_WAIT_S)
                now = time.perf_counter_ns()
        finally:
            gc.unfreeze()


def this_machine() -> Machine:
    """Where and with what this process runs."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cpus = os.cpu_count() or 1
    try:
        version = metadata.version("trioecho")
    except metadata.PackageNotFoundError:  # a source tree that was not installed
        version = "unknown"
    return Machine(
        name=platform.node(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpus=cpus,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        trioecho=version,
    )

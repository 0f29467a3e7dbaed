"""A load with several workers: each has some of the connections, all start in step."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple

import trio

from ...base.quantities import plural
from ...base.units import NS_PER_S
from ..engine.greeting import greeting_of
from ..engine.recording import RecordingTask
from ..engine.schedule import Schedule
from ..errors import CannotConnectError, WorkerFailedError
from ..message_list import GivenMessages, MessageList
from ..plan import LoadPlan
from ..recorded_traffic import RecordedTraffic
from ..results.merging import merge_parts
from ..results.progress import LoadProgress, at_rest, merge_progress
from ..results.result import LoadResult
from .local import CONNECTING
from .message_parts import messages_in_parts
from .messages import LoadMessage, LoadWorkerConfig, StartCommand, StopCommand
from .supervised_worker import SupervisedWorker
from .workplace import Worker, Workplace

# Whether there can be workers: a socket is the standard input of each, which Windows does not allow.
HAS_WORKERS = os.name == "posix"


class WorkerLoss(NamedTuple):
    """The loss of a worker: how, and when it was seen, in ns of `time.perf_counter_ns`."""

    error: WorkerFailedError
    at_ns: int


class WorkersRun(Generic[Worker]):
    """One load, carried out by worker processes, here or elsewhere. As `LoadRun`.

    Args:
      plan: as of `LoadRun`, as are the others.
      workplace: where they run.
    """

    def __init__(
        self,
        plan: LoadPlan,
        workplace: Workplace[Worker],
        *,
        on_progress: Callable[[LoadProgress], object],
        progress_interval_s: float,
        is_cautious: bool,
        messages: MessageList | None,
        first_messages: MessageList | None,
        folder: str,
        recorded: RecordedTraffic | None = None,
        recordings: Sequence[RecordingTask] = (),
        most_silent_beats: int | None = None,
        has_own_sources: bool = False,
    ) -> None:
        given = messages if recorded is None else recorded
        if plan.source != (given and given.source):
            raise ValueError("the messages are not those of the plan: its source has to be theirs")
        greeting_of(plan, first_messages)  # which raises if they are not those of the plan
        self._messages = GivenMessages(messages, first_messages)
        self._recorded = recorded
        self._folder = folder
        self._recordings = recordings
        self._most_silent_beats = most_silent_beats
        self._has_own_sources = has_own_sources
        self._is_cautious = is_cautious
        self._lost: dict[Worker, WorkerLoss] = {}
        self._refusal: CannotConnectError | None = None
        self._starts_at_ns: int | None = None
        self._stopped_at_ns: int | None = None
        self._plan = plan
        self._workplace = workplace
        self._on_progress = on_progress
        self._progress_interval_s = progress_interval_s
        self._workers: list[Worker] = []
        self._stop = trio.Event()
        self._planned = plan.messages and plan.messages * plan.connections
        if recorded is not None:
            self._planned = len(recorded.times)
        elif plan.is_open:
            self._planned = Schedule(plan).planned

    def stop(self) -> None:
        """See `LoadRun.stop`."""
        if self._stopped_at_ns is None:
            self._stopped_at_ns = time.perf_counter_ns()
        self._stop.set()

    async def run(self) -> LoadResult:
        """Carry out the plan; see `LoadRun.run`."""
        self._on_progress(CONNECTING)
        async with contextlib.AsyncExitStack() as channels, trio.open_nursery() as processes:
            for number, config in enumerate(self._configs()):
                self._workers.append(await self._workplace.start_worker(number, config, processes, channels))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_commands, nursery.cancel_scope)
                async with trio.open_nursery() as supervising:
                    for worker in self._workers:
                        supervising.start_soon(self._supervise, worker, nursery.cancel_scope)
                nursery.cancel_scope.cancel()
            processes.cancel_scope.cancel()
        if self._refusal is not None:
            raise self._refusal
        for worker in self._workers:
            if worker.failure is not None and worker not in self._lost:
                raise worker.failure
        if all(worker.reported.is_empty for worker in self._lost) and len(self._lost) == len(self._workers):
            raise self._lost[self._workers[0]].error  # nothing was measured
        return merge_parts(self._plan, [await self._part_of(worker) for worker in self._workers])

    async def _part_of(self, worker: Worker) -> LoadResult:
        """Return what is known of a worker's part."""
        result, loss = worker.result, self._lost.get(worker)
        if loss is not None:
            result = await worker.reported.result(
                loss.error.worker,
                loss.error.reason,
                lost_s=self._measured_s(loss.at_ns),
                stopped_s=None if self._stopped_at_ns is None else self._measured_s(self._stopped_at_ns),
            )
        if result is None:
            raise TypeError("a worker ends with a result, or fails")
        self._workplace.complete(worker, result)
        return result

    def _measured_s(self, at_ns: int) -> float:
        """Return a time in seconds since the measured part began."""
        return (at_ns - (self._starts_at_ns or at_ns)) / NS_PER_S - self._plan.warmup_s

    def _configs(self) -> Iterator[LoadWorkerConfig]:
        """Yield what each worker has to do."""
        plan, first = self._plan, 0
        least, more = divmod(plan.connections, plan.processes)
        for number in range(plan.processes):
            count = least + (number < more)
            yield LoadWorkerConfig(
                plan,
                first,
                count,
                self._progress_interval_s,
                self._is_cautious,
                self._folder,
                self._recordings[number] if self._recordings else None,
                self._most_silent_beats,
                self._has_own_sources,
            )
            first += count

    async def _send_commands(self, all_scopes: trio.CancelScope) -> None:
        async with trio.open_nursery() as nursery:
            for worker in self._workers:
                nursery.start_soon(self._send_task, worker)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._start_when_all_are_ready, all_scopes)
            await self._stop.wait()
            # Also to those that still connect.
            await self._send_to_all(*[StopCommand()] * len(self._workers))

    async def _send_task(self, worker: SupervisedWorker) -> None:
        await worker.send(worker.config)
        recorded = None
        if self._recorded is not None:
            recorded = self._recorded.part(worker.config.first, worker.config.count)
            worker.reported.times = recorded.times
        for part in messages_in_parts(self._messages, recorded):
            await worker.send(part)

    async def _start_when_all_are_ready(self, all_scopes: trio.CancelScope) -> None:
        for worker in self._workers:
            await worker.is_ready.wait()
        used = {source for worker in self._workers for source in worker.sources}
        if unused := [source for source in self._plan.churn.sources if source not in used]:
            # Whoever asks for an address wants connections from it.
            reason = f"{', '.join(unused)} of --bind {'is' if len(unused) == 1 else 'are'} of no machine"
            self._refusal = CannotConnectError(self._plan.host, self._plan.port, reason)
            all_scopes.cancel()
            return
        times = await self._workplace.start_times(self._workers)
        self._starts_at_ns = times.here
        await self._send_to_all(*map(StartCommand, times.there))

    async def _send_to_all(self, *commands: LoadMessage) -> None:
        async with trio.open_nursery() as nursery:
            for worker, command in zip(self._workers, commands, strict=True):
                nursery.start_soon(worker.send, command)

    async def _supervise(self, worker: Worker, all_scopes: trio.CancelScope) -> None:
        """Supervise a worker to its end; end all when it fails, unless it is lost after the start."""
        await worker.supervise(self._report)
        if isinstance(worker.failure, WorkerFailedError) and self._starts_at_ns is not None:
            self._lost[worker] = WorkerLoss(worker.failure, time.perf_counter_ns())
            self._report()  # that it is gone, and what others have reported since
        elif worker.failure is not None:
            all_scopes.cancel()

    def _report(self) -> None:
        """Report a progress when it is known of every worker that still works."""
        working = [worker for worker in self._workers if worker.result is None and worker not in self._lost]
        while working and all(worker.progress for worker in working):
            parts = []
            for worker in self._workers:
                if worker.progress:
                    worker.last_progress = worker.progress.popleft()
                    parts.append(worker.last_progress)
                elif worker not in working and worker.last_progress is not None:
                    parts.append(at_rest(worker.last_progress, worker.result))
            lost = [self._lost_in_words(worker) for worker in self._lost]
            self._on_progress(merge_progress(parts, planned=self._planned, lost=lost))

    def _lost_in_words(self, worker: Worker) -> str:
        error, config = self._lost[worker].error, worker.config
        connections = plural(self._plan.connections, "connection")
        return (
            f"{error.worker} {error.reason}; it had {config.count:,} of {connections}, and had sent "
            f"{plural(worker.reported.sent, 'message')} by its last report; the others go on"
        )

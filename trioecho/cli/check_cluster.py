"""Check servers side by side on the machines of a cluster."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import trio

from ..base.heartbeats import SilenceWatch
from ..base.nursery import open_background_nursery
from ..base.processes import working_folder
from ..base.quantities import plural
from ..check.output import Tested, Untested
from ..check.runner.suite import INTERRUPTED, Observer
from ..check.verdict import CheckMachine, SuiteResult
from ..cluster.choice import ClusterMachine
from ..cluster.cluster import Cluster, EngineChannel
from ..cluster.errors import ClusterError, ClusterSupportMissingError
from ..cluster.identity import Purpose
from ..cluster.opening import open_cluster_for
from .check_apart import follow_check
from .check_messages import Elsewhere, Job
from .check_progress import AllProgress
from .check_queue import CheckQueue, Loss, Waiting
from .check_worker import WORKER_PROGRAM
from .shared.cluster_options import ClusterRequest, cluster_in_words
from .shared.exit_codes import ExitCode
from .shared.output import CommandError, print_error

# A process that has sent nothing for so many beats hangs; before its first word it may be slow to start.
# It ends by itself when it has heard nothing for as long.
_SILENT_BEATS, _SILENT_START_BEATS = 30, 60
# How long a process may take to end when it has sent its result.
_END_S = 15.0


def suite_schema() -> str:
    """Return a hash of the suite's code: verdicts are the same only if that is."""
    package = Path(__file__).parents[1]
    files = sorted((*(package / "check").rglob("*.py"), Path(__file__).with_name("check_messages.py")))
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(package)).encode() + b"\n" + file.read_bytes())
    return digest.hexdigest()[:16]


def check_purpose() -> Purpose:
    """Return what the engines of a check are."""
    return Purpose(
        program=WORKER_PROGRAM,
        identity="trioecho.cli.check_cluster:suite_schema",
        schema=suite_schema(),
        shared="rules",
    )


async def check_on_cluster(
    request: ClusterRequest,
    jobs: Sequence[Job],
    files: Sequence[tuple[str, ...]],
    on_outcome: Callable[[int, Tested], object],
    *,
    side_by_side: int | None,
    time_limit_s: Callable[[int, int], float],
    interrupt: trio.Event,
    prog: str,
) -> None:
    """Open a cluster, and let it check; the arguments are those of `ClusterCheck`.

    Raises:
      CommandError: the cluster cannot be used.
    """
    is_opening = True

    async def give_up() -> None:
        await interrupt.wait()
        if is_opening:
            nursery.cancel_scope.cancel()  # nothing has begun that could end in order

    opening = open_cluster_for(check_purpose(), request.spec, workers=request.workers, wait_s=request.wait_s)
    try:
        async with open_background_nursery() as nursery:
            nursery.start_soon(give_up)
            async with opening as cluster:
                is_opening = False
                print_error(cluster_in_words(request, cluster))
                await ClusterCheck(
                    cluster,
                    jobs,
                    files,
                    on_outcome,
                    side_by_side=side_by_side,
                    time_limit_s=time_limit_s,
                    interrupt=interrupt,
                    prog=prog,
                ).run()
    except ClusterSupportMissingError as error:
        raise CommandError(ExitCode.WRONG_USAGE, str(error)) from None
    except ClusterError as error:
        raise CommandError(ExitCode.UNAVAILABLE, str(error)) from None


class ClusterCheck:
    """Servers, each of which is checked by one worker.

    Args:
      cluster: with the workers.
      jobs: what to check.
      files: of each job, what has to be on its machine.
      on_outcome: called with the number of every server, and what came of it.
      side_by_side: how many servers may be checked at a time on a machine; None for as many as it
        has processors.
      time_limit_s: returns the longest time for a server where so many are checked by so many processors.
      interrupt: when it is set all runs end with what is known.
      prog: the command, in lines for people.
    """

    def __init__(
        self,
        cluster: Cluster,
        jobs: Sequence[Job],
        files: Sequence[tuple[str, ...]],
        on_outcome: Callable[[int, Tested], object],
        *,
        side_by_side: int | None,
        time_limit_s: Callable[[int, int], float],
        interrupt: trio.Event,
        prog: str,
    ) -> None:
        self._cluster = cluster
        self._jobs = jobs
        self._files = files
        self._on_outcome = on_outcome
        self._time_limit_s = time_limit_s
        self._interrupt = interrupt
        self._prog = prog
        workers = Counter(machine.host for machine in cluster.machines)
        self._most = {
            machine.host: min(workers[machine.host], side_by_side or machine.processors)
            for machine in cluster.machines
        }
        self._queue = CheckQueue(len(jobs), cluster.machines, self._most)
        self._progress = AllProgress(jobs[0].book.noun)
        self._again: set[int] = set()

    async def run(self) -> None:
        """Check all of them; the first one is begun first."""
        async with trio.open_nursery() as nursery:
            for machine in self._cluster.machines:
                nursery.start_soon(self._work, machine)
        if self._queue.lost:
            of = plural(len(self._cluster.machines), "worker")
            again = plural(len(self._again), self._jobs[0].book.noun)
            print_error(f"{self._prog}: {len(self._queue.lost)} of {of} lost; {again} checked again")

    async def _work(self, machine: ClusterMachine) -> None:
        while (item := await self._queue.take(machine)) is not None:
            job = self._jobs[item.number]
            if self._interrupt.is_set():
                outcome: Tested | Loss = Untested(
                    job.target.name, f"{INTERRUPTED} before it was its turn", job.book
                )
            else:
                with self._progress.of(job.target.name) as progress:
                    outcome = await self._check(machine, item, progress)
            if isinstance(outcome, Loss):
                if self._lose(item, outcome):
                    return
            else:
                self._add(item, outcome)
                self._queue.finish(machine, item)

    def _add(self, item: Waiting, outcome: Tested) -> None:
        if isinstance(outcome, SuiteResult) and item.losses:
            notes = (f"it was begun before by another worker, which was lost: {loss}" for loss in item.losses)
            outcome = replace(outcome, notes=(*outcome.notes, *notes))
        self._on_outcome(item.number, outcome)

    def _lose(self, item: Waiting, loss: Loss) -> bool:
        """Note that a worker was lost; return whether it is gone, and not only what it had started."""
        is_gone = not loss.has_begun or not loss.is_of_process
        hopeless = self._queue.lose(item, loss, is_gone=is_gone)
        name = self._jobs[item.number].target.name
        if item not in hopeless:
            self._again.add(item.number)
            print_error(f"{self._prog}: {loss}; {name} is checked again by another worker")
        for each in hopeless:
            job = self._jobs[each.number]
            reason = "; ".join(str(one) for one in each.losses) or f"no worker is left: {loss}"
            last = each.losses[-1].machine if each.losses else None
            machine = None if last is None else CheckMachine(last.name, last.host)
            self._add(each, Untested(job.target.name, reason, job.book, machine))
        return is_gone

    async def _check(self, machine: ClusterMachine, item: Waiting, observer: Observer) -> Tested | Loss:
        engine = self._cluster.open_engine(self._cluster.next_run(), machine.number)
        job = self._job_on(machine, item)
        silence = SilenceWatch()
        silent_s = 0.0
        has_begun = False

        def note_message() -> None:
            nonlocal has_begun
            has_begun = True
            silence.note_message()

        async def watch() -> None:
            nonlocal silent_s
            silent_s = await silence.wait_for_silence(
                lambda: _SILENT_BEATS if has_begun else _SILENT_START_BEATS
            )
            engine.close()

        async with engine, open_background_nursery() as nursery:
            nursery.start_soon(watch)
            await self._cluster.start_engine(engine, job.target.name)
            outcome = await follow_check(engine, job, observer, self._interrupt, note_message)
            if outcome is not None:
                with trio.move_on_after(_END_S):
                    await engine.has_ended.wait()
                return replace(outcome, machine=CheckMachine(machine.name, machine.host))
        return _loss(machine, engine, has_begun, silent_s)

    def _job_on(self, machine: ClusterMachine, item: Waiting) -> Job:
        job = self._jobs[item.number]
        directory = job.settings.directory or working_folder()  # that of a worker is another
        at_a_time = self._most[machine.host]
        return replace(
            job,
            settings=replace(job.settings, memory_bound=None, directory=directory),
            environment=None,
            time_limit_s=self._time_limit_s(at_a_time, machine.processors),
            elsewhere=Elsewhere(machine.where, self._files[item.number], at_a_time, _SILENT_BEATS),
        )


def _loss(machine: ClusterMachine, engine: EngineChannel, has_begun: bool, silent_s: float) -> Loss:
    reason = f"sent nothing for {silent_s:g} s" if silent_s else engine.reason
    return Loss(machine, reason, has_begun, is_of_process=engine.exit_code is not None and not silent_s)

"""Carry out a load plan: in this process, or with worker processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..base.processes import working_folder
from ..base.quantities import plural
from ..cluster.cluster import Cluster
from .cluster.workplace import ClusterWorker, ClusterWorkplace
from .engine.tls import TlsConnector
from .message_list import MessageList
from .plan import LoadPlan
from .processes.local import LocalRun
from .processes.recording_files import RecordingFiles
from .processes.supervisor import WorkersRun
from .processes.worker_process import WorkerProcess
from .processes.workplace import ThisMachine
from .recorded_traffic import RecordedTraffic
from .results.progress import LoadProgress
from .results.recording_result import RecordingResult
from .results.result import LoadResult

# An engine on a cluster ends by itself when its Dask worker has been silent for so many beats.
_MOST_SILENT_BEATS = 30


class LoadRun:
    """One load, which can be stopped.

    Args:
      plan: what to do.
      on_progress: called with a `LoadProgress` every ``progress_interval_s``; must return at once.
      progress_interval_s: seconds.
      is_cautious: whether to send one frame first, and to refuse a server that does not reply
        with a frame; else what it does is in the result's errors.
      messages: those of the plan's `source`; None if it has none.
      first_messages: those of the plan's `service.first_messages`; None if it has none.
      recorded: the messages of the plan's `source`, if it replays a recording.
      record: the file that is to have what is sent; its name ends in .frames or in .jsonl. If it
        cannot be written, the result's `recording` says why. Not on a cluster.
      cluster: where the load runs, in as many processes as the cluster has workers, but for each there
        is a connection; the plan's ``processes`` are then these. None for this machine.

    Raises:
      ValueError: the messages are not those of the plan, or a function that is to check replies
        cannot be used; or a file of the plan's `tls`.
    """

    def __init__(
        self,
        plan: LoadPlan,
        *,
        on_progress: Callable[[LoadProgress], object] = lambda progress: None,
        progress_interval_s: float = 1.0,
        is_cautious: bool = True,
        messages: MessageList | None = None,
        first_messages: MessageList | None = None,
        recorded: RecordedTraffic | None = None,
        record: str | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        if (recorded is None) != (plan.replay is None):
            raise ValueError("a plan with a replay needs what was recorded, and no other plan does")
        if cluster is not None:
            if record is not None:
                raise ValueError("on a cluster nothing is recorded: its machines have no common files")
            plan = replace(plan, processes=min(len(cluster.machines), plan.connections))
        self._note = "" if cluster is None else _unused(cluster, plan)
        if plan.tls is not None:
            TlsConnector(plan.tls, plan.host)  # which says now what is wrong with the files
        folder = working_folder()
        self._record = record or ""
        self._recording = None if record is None else RecordingFiles(record, plan.processes)
        recordings = [] if self._recording is None else self._recording.tasks
        self._run: LocalRun | WorkersRun[WorkerProcess] | WorkersRun[ClusterWorker]
        if cluster is not None:
            self._run = WorkersRun(
                plan,
                ClusterWorkplace(cluster),
                on_progress=on_progress,
                progress_interval_s=progress_interval_s,
                is_cautious=is_cautious,
                messages=messages,
                first_messages=first_messages,
                folder=folder,
                recorded=recorded,
                most_silent_beats=_MOST_SILENT_BEATS,
                has_own_sources=True,
            )
        elif plan.processes > 1:
            self._run = WorkersRun(
                plan,
                ThisMachine(),
                on_progress=on_progress,
                progress_interval_s=progress_interval_s,
                is_cautious=is_cautious,
                messages=messages,
                first_messages=first_messages,
                folder=folder,
                recorded=recorded,
                recordings=recordings,
            )
        else:
            self._run = LocalRun(
                plan,
                0,
                plan.connections,
                on_progress=on_progress,
                progress_interval_s=progress_interval_s,
                is_cautious=is_cautious,
                messages=messages,
                first_messages=first_messages,
                recorded=recorded,
                folder=folder,
                recording=recordings[0] if recordings else None,
            )

    def stop(self) -> None:
        """Send nothing more, wait for the replies still to come (up to the plan's timeout), and end.

        Before anything was sent the result is an empty one, and connections that are not open yet
        are given up. It may be called twice.
        """
        self._run.stop()

    async def run(self) -> LoadResult:
        """Connect, carry out the plan and close.

        A server that goes away in the middle is in the result's errors. When a worker dies or hangs, the
        others go on, and the result's `lost` says what is not known. When cancelled,
        all connections are closed and all processes ended; nothing is left.

        Raises:
          CannotConnectError: not one connection could be opened.
          StrangeServerError: the server did not reply to the first frame with a frame, where
            ``is_cautious``, or failed with the first messages; it is a `CannotConnectError`.
          TooManyConnectionsError: the limit of open files is too low.
          WorkerFailedError: a worker process ended, or hung and was killed, before the load began, or all of
            them before any has reported something; on a cluster it is a `ClusterWorkerFailedError`.
        """
        if self._recording is None:
            result = await self._run.run()
            result.notes += [self._note] if self._note else []
            return result
        with self._recording:
            result = await self._run.run()
            if result.lost:
                reason = f"what was sent is not whole, since a worker was lost: {result.lost_names}"
                result.recording = RecordingResult(self._record, 0, reason)
                return result
            result.recording = await self._recording.join(result.recording)
        return result


async def run_load(
    plan: LoadPlan,
    *,
    on_progress: Callable[[LoadProgress], object] = lambda progress: None,
    progress_interval_s: float = 1.0,
    is_cautious: bool = True,
    messages: MessageList | None = None,
    first_messages: MessageList | None = None,
    recorded: RecordedTraffic | None = None,
    record: str | None = None,
    cluster: Cluster | None = None,
) -> LoadResult:
    """Carry out a plan from start to end, as a `LoadRun` that only cancellation stops."""
    run = LoadRun(
        plan,
        on_progress=on_progress,
        progress_interval_s=progress_interval_s,
        is_cautious=is_cautious,
        messages=messages,
        first_messages=first_messages,
        recorded=recorded,
        record=record,
        cluster=cluster,
    )
    return await run.run()


def _unused(cluster: Cluster, plan: LoadPlan) -> str:
    """Return a sentence on workers that have nothing to do, if there are any."""
    workers = len(cluster.machines)
    if workers <= plan.processes:
        return ""
    return (
        f"{plural(plan.connections, 'connection')} cannot be shared by {workers} workers: "
        f"{plan.processes} of them were used."
    )

"""Say of a result which worker it is of."""

from __future__ import annotations

from datetime import timedelta

from ...cluster.clock import ClockOffset
from .result import LoadResult
from .worker_share import WorkerShare, WorkerSystem


def attribute(
    result: LoadResult,
    name: str,
    host: str,
    *,
    connections: int,
    clock: ClockOffset,
    start_late_ns: int,
    is_its_time: bool = True,
    system: WorkerSystem = "Dask",
) -> None:
    """Note which worker a part of a load is of, and correct its times by the worker's clock.

    Args:
      result: of the part.
      name: of the worker.
      host: its machine.
      connections: how many it had.
      clock: how far its clocks are ahead of those of the machine with the load command.
      start_late_ns: how long after its moment it started.
      is_its_time: whether the worker itself has said when its part began.
      system: of which it is a worker.
    """
    health = result.health
    if is_its_time:
        result.started_at -= timedelta(microseconds=clock.day_ahead_ns / 1000)
    result.workers = [
        WorkerShare(
            name=name,
            host=host,
            connections=connections,
            sent=result.sent,
            messages=result.messages,
            errors=result.error_count,
            is_lost=bool(result.lost),
            system=system,
            cpu_share=max(health.cpu_shares, default=0.0),
            cpu_wait_share=max(health.cpu_wait_shares, default=0.0),
            clock_ahead_ns=clock.day_ahead_ns,
            clock_error_ns=clock.error_ns,
            start_late_ns=start_late_ns,
            send_lateness_ns=health.send_lateness_ns,
        )
    ]

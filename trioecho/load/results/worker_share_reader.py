"""Read what the workers of a cluster did from JSON that may be damaged."""

from __future__ import annotations

from ...base.json_part import MAX_COUNT, Part
from .measured_parts import read_histogram
from .result import LoadResult
from .worker_share import WorkerShare, WorkerSystem


def read_workers(part: Part, result: LoadResult) -> list[WorkerShare]:
    """Return the workers of a result.

    Args:
      part: of the document.
      result: what was read of the rest.

    Raises:
      DamagedError: it is something else, or more than the whole.
    """
    workers = [_worker(item) for item in part]
    for name, whole, parts in (
        ("messages_sent", result.sent, [worker.sent for worker in workers]),
        ("messages", result.messages, [worker.messages for worker in workers]),
        ("errors", result.error_count, [worker.errors for worker in workers]),
        ("connections", result.plan.connections, [worker.connections for worker in workers]),
    ):
        # Of runs that were merged not all may have been on a cluster.
        if sum(parts) > whole:
            raise part.wrong(f"{name} adds up to {sum(parts)}, which is more than {whole}")
    return workers


def _worker(part: Part) -> WorkerShare:
    ahead_ns = part["clock_ahead_ns"].value
    if type(ahead_ns) is not int or abs(ahead_ns) > MAX_COUNT:
        raise part["clock_ahead_ns"].wrong("it is not a whole number")
    return WorkerShare(
        name=part["name"].text(),
        host=part["host"].text(),
        connections=part["connections"].count(),
        sent=part["messages_sent"].count(),
        messages=part["messages"].count(),
        errors=part["errors"].count(),
        system=part["system"].read(WorkerSystem) if "system" in part else "Dask",
        is_lost=part["is_lost"].read(bool) if "is_lost" in part else False,
        cpu_share=part["cpu_share"].number(),
        cpu_wait_share=part["cpu_wait_share"].number(),
        clock_ahead_ns=ahead_ns,
        clock_error_ns=part["clock_error_ns"].count(),
        start_late_ns=part["start_late_ns"].count(),
        send_lateness_ns=read_histogram(part["send_lateness_ns"]),
    )

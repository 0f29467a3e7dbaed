"""The options of a load for the cluster on which it runs."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from ..base.quantities import plural
from ..base.suggestion import quoted
from ..cluster.cluster import Cluster
from ..cluster.opening import DEFAULT_WAIT_S
from ..cluster.spec import ClusterSpec, parse_cluster
from ..load import open_cluster
from ..load.processes.supervisor import HAS_WORKERS
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.output import CommandError

_MOST_NAMED = 8


@dataclass(frozen=True)
class ClusterRequest:
    """The cluster that a command line asks for.

    Attributes:
      spec: which.
      workers: how many of its workers to use; None for all.
      wait_s: how long to wait for them.
    """

    spec: ClusterSpec
    workers: int | None
    wait_s: float


def add_cluster_options(group: argparse._ArgumentGroup) -> None:
    """Add where the load comes from."""
    add = group.add_argument
    add(
        "--cluster",
        type=_cluster,
        metavar="CLUSTER",
        help="from the machines of a Dask cluster: tcp://HOST:PORT or tls://HOST:PORT of its scheduler, "
        "local:N, or ssh:HOST,HOST; the plan is divided over its workers, which start in step",
    )
    add(
        "--cluster-workers",
        type=values.positive_count,
        metavar="N",
        help="how many of the cluster's workers (default: all that are there)",
    )
    add(
        "--cluster-wait",
        type=values.seconds,
        metavar="TIME",
        help=f"how long to wait for the scheduler, and for workers (default: {DEFAULT_WAIT_S:g}s)",
    )


def _cluster(text: str) -> ClusterSpec:
    """Read which cluster."""
    try:
        return parse_cluster(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is no cluster: {error}") from None


def cluster_of(arguments: argparse.Namespace) -> ClusterRequest | None:
    """Return the cluster that is asked for; None for this machine.

    Raises:
      CommandError: the options contradict each other.
    """
    spec: ClusterSpec | None = arguments.cluster
    has_cluster = spec is not None
    for is_wrong, reason in (
        (
            not has_cluster and (arguments.cluster_workers, arguments.cluster_wait) != (None, None),
            "--cluster-workers and --cluster-wait belong to a --cluster; say which",
        ),
        (
            has_cluster and arguments.workers != 1,
            "--workers are processes of this machine; on a --cluster, --cluster-workers says how many",
        ),
        (
            has_cluster and arguments.record is not None,
            "--record does not work on a --cluster, whose machines have no common files; leave out one",
        ),
        (
            has_cluster and bool(arguments.sources),
            "--bind is an address of this machine, and the load comes from a --cluster; leave out one",
        ),
        (
            spec is not None
            and arguments.cluster_workers is not None
            and spec.kind == "local"
            and arguments.cluster_workers > spec.count,
            f"--cluster-workers {arguments.cluster_workers} is more than --cluster {spec} has",
        ),
        (has_cluster and not HAS_WORKERS, "--cluster does not work on this system"),
    ):
        if is_wrong:
            raise CommandError(ExitCode.WRONG_USAGE, reason)
    if spec is None:
        return None
    wait_s = DEFAULT_WAIT_S if arguments.cluster_wait is None else arguments.cluster_wait
    return ClusterRequest(spec, arguments.cluster_workers, wait_s)


@contextlib.asynccontextmanager
async def opened(
    request: ClusterRequest | None, show: Callable[[str], object]
) -> AsyncIterator[Cluster | None]:
    """Open the cluster for a block, and say what it is; for this machine there is none.

    Raises:
      ClusterError: it cannot be used.
    """
    if request is None:
        yield None
        return
    async with open_cluster(request.spec, workers=request.workers, wait_s=request.wait_s) as cluster:
        machines = cluster.machines
        named = ", ".join(machine.where for machine in machines[:_MOST_NAMED])
        more = f" and {len(machines) - _MOST_NAMED} more" if len(machines) > _MOST_NAMED else ""
        of = f" of {cluster.available}" if cluster.available > len(machines) else ""
        show(f"cluster {request.spec}: {plural(len(machines), 'worker')}{of}: {named}{more}")
        yield cluster

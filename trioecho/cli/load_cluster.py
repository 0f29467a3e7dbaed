"""The options of a load for the cluster on which it runs."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import AsyncIterator, Callable

from ..cluster.cluster import Cluster
from ..load import open_cluster
from ..load.processes.supervisor import HAS_WORKERS
from .shared.cluster_options import ClusterRequest, add_cluster_options, cluster_in_words, cluster_request
from .shared.exit_codes import ExitCode
from .shared.output import CommandError


def add_load_cluster_options(group: argparse._ArgumentGroup) -> None:
    """Add where the load comes from."""
    add_cluster_options(
        group.add_argument,
        "from the machines of {}; the plan is divided over its workers, which start in step",
    )


def cluster_of(arguments: argparse.Namespace) -> ClusterRequest | None:
    """Return the cluster that is asked for; None for this machine.

    Raises:
      CommandError: the options contradict each other.
    """
    request = cluster_request(arguments)
    for is_wrong, reason in (
        (
            arguments.workers != 1,
            "--workers are processes of this machine; on a --cluster, --cluster-workers says how many",
        ),
        (
            arguments.record is not None,
            "--record does not work on a --cluster, whose machines have no common files; one machine sends "
            "the same bytes, by the same --seed",
        ),
        (not HAS_WORKERS, "--cluster does not work on this system"),
    ):
        if is_wrong and request is not None:
            raise CommandError(ExitCode.WRONG_USAGE, reason)
    return request


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
        show(cluster_in_words(request, cluster))
        yield cluster

"""Open a cluster for loads."""

from __future__ import annotations

import contextlib

from ...cluster.cluster import Cluster
from ...cluster.identity import Purpose
from ...cluster.opening import open_cluster_for
from ...cluster.spec import DEFAULT_WAIT_S, ClusterSpec
from .identity import own_schema


def open_cluster(
    cluster: str | ClusterSpec, *, workers: int | None = None, wait_s: float = DEFAULT_WAIT_S
) -> contextlib.AbstractAsyncContextManager[Cluster]:
    """Give a Dask cluster to the loads of a block, as ``cluster=`` of `run_load`.

    Everything that was started for it is ended with the block. When cancelled, too, within 5 s.

    Args:
      cluster: ``tcp://host:8786`` or ``tls://host:8786`` of a scheduler, ``local:3`` or
        ``ssh:host1,host2``; for TLS Dask's own configuration has the files.
      workers: how many of its workers to use; None for all that are there, and one at least.
      wait_s: how long to wait for the scheduler, and for its workers, in seconds.

    Raises:
      ClusterError: there is no such cluster, it has not so many workers, or one of them cannot be
        used: it has no or another trioecho.
      ClusterSupportMissingError: a package is missing on this machine; it is a `ClusterError`.
      ValueError: ``cluster`` is no cluster.
    """
    return open_cluster_for(load_purpose(), cluster, workers=workers, wait_s=wait_s)


def load_purpose() -> Purpose:
    """Return what the engines of a load are."""
    return Purpose(
        program=("trioecho.load.processes.worker",),
        identity="trioecho.load.cluster.identity:own_schema",
        schema=own_schema(),
        shared="plans",
    )

"""The options of commands that can use the machines of a cluster."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...base.quantities import plural
from ...base.suggestion import quoted
from ...cluster.spec import DEFAULT_WAIT_S, ClusterSpec, parse_cluster
from . import values
from .exit_codes import ExitCode
from .output import CommandError

if TYPE_CHECKING:
    from ...cluster.cluster import Cluster

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


def add_cluster_options(add: Callable[..., object], use: str) -> None:
    """Add which cluster is used.

    Args:
      add: adds an option to a parser, or a group of it.
      use: what it is used for, in words with a place for which: ``from the machines of {}``.
    """
    which = "a Dask cluster: tcp://HOST:PORT or tls://HOST:PORT of its scheduler, local:N, or ssh:HOST,HOST"
    add("--cluster", type=_cluster, metavar="CLUSTER", help=use.format(which))
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


def cluster_request(arguments: argparse.Namespace) -> ClusterRequest | None:
    """Return the cluster that is asked for; None for this machine.

    Raises:
      CommandError: the options contradict each other.
    """
    spec: ClusterSpec | None = arguments.cluster
    workers: int | None = arguments.cluster_workers
    if spec is None:
        if (workers, arguments.cluster_wait) != (None, None):
            raise CommandError(
                ExitCode.WRONG_USAGE,
                "--cluster-workers and --cluster-wait belong to a --cluster; say which",
            )
        return None
    if workers is not None and spec.kind == "local" and workers > spec.count:
        raise CommandError(
            ExitCode.WRONG_USAGE, f"--cluster-workers {workers} is more than --cluster {spec} has"
        )
    wait_s = DEFAULT_WAIT_S if arguments.cluster_wait is None else arguments.cluster_wait
    return ClusterRequest(spec, workers, wait_s)


def cluster_in_words(request: ClusterRequest, cluster: Cluster) -> str:
    """Return which workers are used, in a line."""
    machines = cluster.machines
    named = ", ".join(machine.where for machine in machines[:_MOST_NAMED])
    more = f" and {len(machines) - _MOST_NAMED} more" if len(machines) > _MOST_NAMED else ""
    of = f" of {cluster.available}" if cluster.available > len(machines) else ""
    return f"cluster {request.spec}: {plural(len(machines), 'worker')}{of}: {named}{more}"

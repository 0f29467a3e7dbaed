"""Errors of a cluster that cannot be used."""

from __future__ import annotations


class ClusterError(Exception):
    """The cluster cannot be used; nothing was begun.

    Attributes:
      cluster (str): which, as it was written.
      reason (str): why, as the end of a sentence that begins with the cluster.
    """

    def __init__(self, cluster: str, reason: str) -> None:
        super().__init__(cluster, reason)
        self.cluster = cluster
        self.reason = reason

    def __str__(self) -> str:
        return f"cluster {self.cluster}: {self.reason}"


class ClusterSupportMissingError(ClusterError):
    """What a cluster needs is not installed on this machine."""

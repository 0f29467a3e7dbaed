"""What each worker of a cluster, or of Locust, did of a load, and how well it kept to its moments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ...base.histogram import Histogram

WorkerSystem = Literal["Dask", "Locust"]


@dataclass(frozen=True)
class WorkerShare:
    """The part of a load that a worker of a cluster, or of Locust, carried out.

    Attributes:
      name: of the worker, as its cluster or Locust knows it.
      host: the machine on which it runs; several workers may be on one.
      connections: how many of the plan's it had.
      sent: messages offered to the kernel.
      messages: replies that were right.
      errors: of all kinds.
      cpu_share: as of `GeneratorHealth`.
      cpu_wait_share: likewise.
      clock_ahead_ns: how far its clock of the day is ahead of that of the machine with the load command.
      clock_error_ns: its moments are known so well, plus or minus; 0 if it has the same clock.
      start_late_ns: from the moment at which all were to start, by its own clock, to its start.
      send_lateness_ns: as of `GeneratorHealth`.
      system: of which it is a worker.
      is_lost: whether it died or hung: then all of this is by its reports, and its CPU shares are not known.
    """

    name: str
    host: str
    connections: int
    sent: int
    messages: int
    errors: int
    cpu_share: float = 0.0
    cpu_wait_share: float = 0.0
    clock_ahead_ns: int = 0
    clock_error_ns: int = 0
    start_late_ns: int = 0
    send_lateness_ns: Histogram = field(default_factory=Histogram)
    is_lost: bool = False
    system: WorkerSystem = "Dask"

    @property
    def where(self) -> str:
        """The worker and its machine, in words."""
        return f"worker {self.name} on {self.host}"

    @property
    def start_error_ns(self) -> int:
        """At most so far from the common moment it started."""
        return self.start_late_ns + self.clock_error_ns

    @property
    def demand_share(self) -> float:
        """The share of the time in which it used a CPU or waited for one."""
        return min(1.0, self.cpu_share + self.cpu_wait_share)

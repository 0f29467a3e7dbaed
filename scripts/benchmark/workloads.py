"""What the load does, by the names of the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trioecho.base.quantities import plural


@dataclass(frozen=True)
class Workload:
    """What the load does.

    Attributes:
      name: as on the command line.
      connections: how many.
      pipeline: messages in flight on each.
      size: payload, as ``trioecho load --size`` takes it.
      max_frame_length: limit that the servers are given, in bytes.
      has_handler: whether every message goes through a function of the user's.
      time_scale: how much longer than others it takes to see enough.
      is_tls: whether connections are under TLS.
    """

    name: str
    connections: int
    pipeline: int
    size: str
    max_frame_length: int = 1 << 20
    has_handler: bool = False
    time_scale: float = 1.0
    is_tls: bool = False

    @property
    def title(self) -> str:
        """The title for a reader who does not know the load yet."""
        connections = plural(self.connections, "connection")
        title = f"{connections}, {self.pipeline} in flight, {self.spaced_size}"
        title += ", under TLS" if self.is_tls else ""
        return f"{title}, with a handler" if self.has_handler else title

    @property
    def short_title(self) -> str:
        """Connections x in flight, payload; the same with a handler and without."""
        return f"{self.connections} x {self.pipeline}, {self.spaced_size}"

    @property
    def spaced_size(self) -> str:
        """The size as people write it: ``64 KiB``."""
        return re.sub(r"(\d)([A-Z])", r"\1 \2", self.size)


# Sizes that differ from message to message under pipelining, so that nothing is
# gained by guessing that the next is like the last.
WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("one", 1, 1, "64B"),
        Workload("many", 100, 1, "64B"),
        Workload("pipelined", 100, 64, "16-112B"),
        Workload("bulk", 8, 4, "64KiB"),
        Workload("large", 4, 2, "1MiB"),
        Workload("huge", 2, 2, "16MiB", max_frame_length=16 << 20, time_scale=2),
        Workload("many-handler", 100, 1, "64B", has_handler=True),
        Workload("pipelined-handler", 100, 64, "16-112B", has_handler=True),
    )
}

"""What a load generator saw of itself while it measured."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...base.histogram import Histogram


@dataclass(frozen=True)
class GeneratorHealth:
    """What the load generator saw of itself in the measured part. See `trioecho.load.results.saturation`.

    Attributes:
      cpu_shares: of each process: its CPU time by wall time, without the time in which
        it only waited for the next message to be due in a busy loop; 0 to 1.
      send_lateness_ns: from when a message was due to when it was taken up, whether or
        not the kernel then had room for it; open loops and those with a think time.
      loop_delay_ns: how long a socket that was ready may have waited for the generator:
        the lengths of its turns.
      judged: whether there was enough to judge by; if not, ``reasons`` is empty.
      reasons: why the numbers describe the generator and not the server, a sentence each.
    """

    cpu_shares: tuple[float, ...] = ()
    cpu_wait_shares: tuple[float, ...] = ()
    send_lateness_ns: Histogram = field(default_factory=Histogram)
    loop_delay_ns: Histogram = field(default_factory=Histogram)
    judged: bool = False
    reasons: tuple[str, ...] = ()

    @property
    def saturated(self) -> bool:
        """True if these numbers describe the generator."""
        return bool(self.reasons)

    @property
    def cpu_share(self) -> float:
        """The CPU share of the busiest process."""
        return max(self.cpu_shares, default=0.0)

    @property
    def demand_shares(self) -> tuple[float, ...]:
        """The share of the time, for each process, in which it used a CPU or waited for one."""
        pairs = zip(self.cpu_shares, self.cpu_wait_shares, strict=True)
        return tuple(min(1.0, used + waited) for used, waited in pairs)

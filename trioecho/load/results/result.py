"""The result of a load: counts, errors by kind, histograms, a time series, and how far to trust them.

Everything merges exactly: counts add up, histograms have the same buckets, and
intervals lie on the same grid. As JSON see `result_json` (schema "trioecho-load/1").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone

from ...base.histogram import Histogram
from ..goals.find_max import Search
from ..goals.objectives import ObjectiveResult
from ..plan import LoadPlan
from .churn_result import ChurnResult
from .discrepancy import Discrepancy
from .generator_health import GeneratorHealth
from .lost_worker import LostWorker
from .machine import Machine
from .path_result import PathResult
from .recording_result import RecordingResult
from .sockets_given import SocketsGiven
from .stage_result import StageResult
from .time_series import LoadInterval
from .tls_result import TlsResult
from .worker_share import WorkerShare


@dataclass
class LoadResult:
    """The result of a load.

    All counts and times are of the measured part; only ``errors`` and
    ``discrepancies`` also have what was wrong in the warm-up.

    Attributes:
      plan: what was to be done.
      started_at: when the measured part began, in UTC.
      elapsed_s: the length of the measured part: until the last reply came, and in
        a run of a given duration that at least; or until every connection was lost.
      cut_from_s: the length that the measured part would have had, if every connection was
        lost before its end; of a number of messages in a closed loop, which has no known
        length, as ``elapsed_s``. None for a run that was not cut short.
      sent: messages that were offered to the kernel.
      warmup_unsent: those of ``errors["unsent"]`` that were due in the warm-up.
      messages: replies that were right: in content, in order, in time.
      bytes: of these replies on the wire, headers included.
      errors: how often each kind occurred (see `discrepancy.ERROR_KINDS`); kinds that did not are not in it.
      discrepancies: the first few of each kind.
      latency_ns: open loop: from when a message was due to its reply, which is free of
        coordinated omission. Closed loop: as ``from_send_ns``. Of all replies with the
        right content, also of late and swapped ones; a message without one has none.
      from_send_ns: from the actual send to when the reply was taken up. Closed loop: from
        when the message was first offered to the kernel, so the wait for room counts.
        Open loop: from when the kernel took its first byte.
      connect_ns: from the start of a connection attempt to its success; also of later ones.
      churn: how connections came and went.
      intervals: the time series, without gaps; see `TimeSeries`.
      health: what the generator saw of itself.
      connections_opened: how many could be, at the start.
      stopped: whether it was stopped before its end.
      notes: what else a reader of the numbers must know, a sentence each.
      machines: where it ran.
      command: the command line, as the command line gave it; perhaps empty.
      objective_results: of the objectives, in the order in which these were given.
      search: for the highest rate; this result is that of its last trial that held.
      runs: those that were merged, as `identity.runs_of` knows them; empty for one run.
      plans: of the runs that were merged; empty for one run.
      recording: what came of the recording of what was sent; None if there was to be none.
      stages: what was counted in each stage of the plan; empty without stages.
      tls: the handshakes, and what was agreed on; None without TLS.
      workers: of a cluster or of Locust, what each of them did; empty without.
      sockets: what the kernel gave to the first socket of each process, without repeats; empty for
        other sockets than those of TCP.
      lost: workers that died or hung; of them the result has what they had reported, and the rest of their
        messages is ``unknown`` or ``unreported``.
      path: what the kernel knew of the connections; None for other sockets than those of TCP, and in
        files of older versions.
    """

    plan: LoadPlan
    started_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    elapsed_s: float = 0.0
    cut_from_s: float | None = None
    sent: int = 0
    warmup_unsent: int = 0
    messages: int = 0
    bytes: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    discrepancies: list[Discrepancy] = field(default_factory=list)
    latency_ns: Histogram = field(default_factory=Histogram)
    from_send_ns: Histogram = field(default_factory=Histogram)
    connect_ns: Histogram = field(default_factory=Histogram)
    churn: ChurnResult = field(default_factory=ChurnResult)
    intervals: list[LoadInterval] = field(default_factory=list)
    health: GeneratorHealth = field(default_factory=GeneratorHealth)
    connections_opened: int = 0
    stopped: bool = False
    notes: list[str] = field(default_factory=list)
    machines: list[Machine] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    objective_results: list[ObjectiveResult] = field(default_factory=list)
    search: Search | None = None
    runs: list[str] = field(default_factory=list)
    plans: list[LoadPlan] = field(default_factory=list)
    recording: RecordingResult | None = None
    stages: list[StageResult] = field(default_factory=list)
    tls: TlsResult | None = None
    workers: list[WorkerShare] = field(default_factory=list)
    sockets: list[SocketsGiven] = field(default_factory=list)
    path: PathResult | None = None
    lost: list[LostWorker] = field(default_factory=list)

    @property
    def unsent(self) -> int:
        """Messages that were due, or planned, and not sent: a schedule also goes on without connections."""
        return self.errors.get("unsent", 0) - self.warmup_unsent

    @property
    def due(self) -> int:
        """Messages that were to be sent: each of them is in ``sent``, in ``unsent``, or unreported.

        One that was sent twice, since a server ended its connection in order before it took it, is one.
        """
        return self.sent - self.churn.taken_back + self.unsent + self.errors.get("unreported", 0)

    @property
    def length_s(self) -> float:
        """The time that rates are over: the measured part, as long as it was to be if it was cut short."""
        return max(self.elapsed_s, self.cut_from_s or 0.0)

    @property
    def ended_early(self) -> str | None:
        """The reason why the run ended too early, in words; None for a run that was not cut short."""
        if self.cut_from_s is None:
            return None
        has_length = self.plan.is_open or self.plan.duration_s is not None
        of = f" of {round(self.cut_from_s, 1):,.12g}" if has_length else ""
        after = f"{self.elapsed_s:,.1f}" if self.elapsed_s >= 1 else f"{self.elapsed_s:.2g}"
        return f"ended after {after}{of} s: every connection was lost"

    @property
    def lost_names(self) -> str:
        """The workers that were lost, in words; empty if none was."""
        return ", ".join(worker.name for worker in self.lost)

    @property
    def error_count(self) -> int:
        """Errors of all kinds."""
        return sum(self.errors.values())

    @property
    def messages_per_s(self) -> float:
        """Right replies per second of the measured part."""
        return self.messages / self.length_s if self.length_s else 0.0

    @property
    def bytes_per_s(self) -> float:
        """Bytes of right replies on the wire per second of the measured part; in one direction."""
        return self.bytes / self.length_s if self.length_s else 0.0

    @property
    def saturated(self) -> bool:
        """True if these numbers describe the generator."""
        return self.health.saturated

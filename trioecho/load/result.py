"""What came of a load: counts, errors by kind, histograms, a time series, and how far to trust them.

Everything merges exactly: counts add up, histograms have the same buckets, and
intervals lie on the same grid. As JSON see `result_json` (schema "trioecho-load/1").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Literal

from ..histogram import Histogram
from .find_max import Search
from .objectives import Verdict
from .plan import LoadPlan

NS_PER_S = 1_000_000_000

Phase = Literal["connecting", "warming up", "measuring", "draining"]

# Names of errors, as in JSON, and what they mean. Those up to "unsent" are of one
# message each; the others are of one connection each.
ERROR_KINDS: dict[str, str] = {
    "wrong": "a reply came whose content is not that of its message",
    "missing": "no reply came",
    "duplicated": "a message had been answered, and its reply came once more",
    "swapped": "a reply came after one to a later message",
    "torn": "the stream ended, or lost its framing, inside this reply",
    "late": "a reply came after the timeout",
    "unexpected": "a frame came that no message asked for",
    "unsent": "a message was due and could not be sent: its connection was lost, or too many waited",
    "connection_closed": "the server ended a connection on which something was still to be sent or replied",
    "connection_lost": "a connection was reset",
    "connection_stalled": "nothing came for three timeouts; the connection was given up",
    "framing_lost": "where a header should be came something else; the connection was given up",
    "connect_failed": "a connection could not be opened, while others could",
}

# How many discrepancies of a kind are kept, as examples.
KEPT_DISCREPANCIES = 5
# What is kept of their bytes.
KEPT_BYTES = 32

# The time series begins with intervals of this length; when there are more than
# so many, each two become one: memory is bounded, and grids always fit together.
FIRST_INTERVAL_S = 0.1
MOST_INTERVALS = 300


@dataclass(frozen=True)
class Discrepancy:
    """A reply that was not as it should be; an example of its kind.

    Attributes:
      connection: which one, counted from 0.
      number: the message on that connection, counted from 1, warm-up included.
      kind: a key of `ERROR_KINDS`.
      expected: the first bytes of the payload that should have come, from the first
        difference on if that is further on (see ``offset``); empty if none should.
      received: the bytes in their place; empty if nothing came.
      expected_bytes: the payload's length; None if none should have come.
      received_bytes: the length of what came; None if nothing did.
      offset: where in the payload ``expected`` and ``received`` begin.
      detail: one more thing to know, in words; perhaps empty.
    """

    connection: int
    number: int
    kind: str
    expected: bytes = b""
    received: bytes = b""
    expected_bytes: int | None = None
    received_bytes: int | None = None
    offset: int = 0
    detail: str = ""


@dataclass
class Interval:
    """One step of the time series.

    Attributes:
      t_s: when it begins, in seconds since the measured part began.
      width_s: its length; the last one may be over before that.
      sent: messages offered to the kernel within it.
      messages: replies within it that were right.
      bytes: of these replies on the wire, headers included.
      errors: discrepancies and lost connections within it, of all kinds.
      latency_ns: of the replies within it.
    """

    t_s: float
    width_s: float
    sent: int = 0
    messages: int = 0
    bytes: int = 0
    errors: int = 0
    latency_ns: Histogram = field(default_factory=Histogram)

    def add(self, other: Interval) -> None:
        """Add what another interval counted."""
        self.sent += other.sent
        self.messages += other.messages
        self.bytes += other.bytes
        self.errors += other.errors
        self.latency_ns.merge(other.latency_ns)


@dataclass(frozen=True)
class SelfWatch:
    """What the load generator saw of itself in the measured part. See `trioecho.load.watch`.

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
        """Whether these numbers describe the generator."""
        return bool(self.reasons)

    @property
    def cpu_share(self) -> float:
        """That of the busiest process."""
        return max(self.cpu_shares, default=0.0)

    @property
    def demand_shares(self) -> tuple[float, ...]:
        """Of each process: the share of the time in which it used a CPU or waited for one."""
        pairs = zip(self.cpu_shares, self.cpu_wait_shares, strict=True)
        return tuple(min(1.0, used + waited) for used, waited in pairs)


@dataclass(frozen=True)
class Machine:
    """Where and with what a load was carried out.

    Attributes:
      name: the host's.
      system: operating system, its version, the architecture.
      cpus: CPUs that the process may use.
      python: version and implementation.
      trioecho: version.
    """

    name: str
    system: str
    cpus: int
    python: str
    trioecho: str


@dataclass(frozen=True)
class Progress:
    """What is known while a load runs.

    Attributes:
      phase: what it is doing.
      t_s: seconds since the measured part began; negative while warming up.
      interval: what happened since the last progress; in the warm-up all is 0 but the errors.
      sent: messages offered to the kernel in the measured part so far.
      messages: replies to them that were right so far.
      errors: by kind so far; "missing" only in as far as it is certain.
      connections: open now.
      planned: messages of the measured part in all, where that is known beforehand.
      send_lateness_ns: since the last progress; as of `SelfWatch`.
    """

    phase: Phase
    t_s: float
    interval: Interval
    sent: int
    messages: int
    errors: Mapping[str, int]
    connections: int
    planned: int | None
    send_lateness_ns: Histogram = field(default_factory=Histogram)


@dataclass
class LoadResult:
    """What came of a load.

    All counts and times are of the measured part, but ``errors`` and
    ``discrepancies`` also have what was wrong in the warm-up.

    Attributes:
      plan: what was to be done.
      started_at: when the measured part began, in UTC.
      elapsed_s: the length of the measured part: until the last reply came, and in
        a run of a given duration that at least.
      sent: messages that were offered to the kernel.
      messages: replies that were right: in content, in order, in time.
      bytes: of these replies on the wire, headers included.
      errors: how often each kind occurred (see `ERROR_KINDS`); kinds that did not are not in it.
      discrepancies: the first few of each kind.
      latency_ns: open loop: from when a message was due to its reply, which is free of
        coordinated omission. Closed loop: as ``from_send_ns``. Of all replies with the
        right content, also of late and swapped ones; a message without one has none.
      from_send_ns: from the actual send to when the reply was taken up. Closed loop: from
        when the message was first offered to the kernel, so the wait for room counts.
        Open loop: from when the kernel took its first byte.
      connect_ns: from the start of a connection attempt to its success.
      intervals: the time series, without gaps; see `FIRST_INTERVAL_S`.
      watch: what the generator saw of itself.
      connections_opened: how many could be.
      stopped: whether it was stopped before its end.
      notes: what else a reader of the numbers must know, a sentence each.
      machines: where it ran.
      command: the command line, as the command line gave it; perhaps empty.
      verdicts: of the objectives, in the order in which these were given.
      search: for the highest rate; this result is that of its last trial that held.
    """

    plan: LoadPlan
    started_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    elapsed_s: float = 0.0
    sent: int = 0
    messages: int = 0
    bytes: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    discrepancies: list[Discrepancy] = field(default_factory=list)
    latency_ns: Histogram = field(default_factory=Histogram)
    from_send_ns: Histogram = field(default_factory=Histogram)
    connect_ns: Histogram = field(default_factory=Histogram)
    intervals: list[Interval] = field(default_factory=list)
    watch: SelfWatch = field(default_factory=SelfWatch)
    connections_opened: int = 0
    stopped: bool = False
    notes: list[str] = field(default_factory=list)
    machines: list[Machine] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    search: Search | None = None

    @property
    def error_count(self) -> int:
        """Errors of all kinds."""
        return sum(self.errors.values())

    @property
    def messages_per_s(self) -> float:
        """Right replies per second of the measured part."""
        return self.messages / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def bytes_per_s(self) -> float:
        """Bytes of right replies on the wire per second of the measured part; in one direction."""
        return self.bytes / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def saturated(self) -> bool:
        """Whether these numbers describe the generator."""
        return self.watch.saturated

    def to_json(self, *, indent: int | None = 2) -> str:
        """One JSON object; its schema stands in `trioecho.load.result_json`."""
        from .result_json import encode

        return encode(self, indent=indent)

    @classmethod
    def from_json(cls, text: str) -> LoadResult:
        """What `to_json` gave.

        Raises:
          UnreadableResultError: it is not JSON, not of this schema, or damaged.
        """
        from .result_json import decode

        return decode(text)


class UnreadableResultError(ValueError):
    """A text is not the JSON of a load result; the message says why, in one line."""

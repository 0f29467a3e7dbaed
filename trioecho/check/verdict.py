"""What the suite found: a verdict for every case, and the evidence for it.

All of it is plain data, immutable, and without a socket or a clock, for the
reports that are made of it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Literal

from .book.book import SERVERS, Book, Level, Rule


class Verdict(enum.Enum):
    """How a case ended.

    A broken MUST is a `FAIL`; a broken SHOULD is a `WARN`.
    """

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    WARN = "warn"
    NOT_APPLICABLE = "not applicable"
    INCONCLUSIVE = "inconclusive"


# How many events at its beginning a transcript always has; what is left out comes after them.
FIRST_EVENTS = 40


@dataclass(frozen=True)
class Cause:
    """What probably is wrong with a server, or a client.

    Attributes:
      id: stable, for programs: ``"one-parse-per-recv"``.
      words: what the server probably does, in a sentence.
      advice: what to do instead, in a sentence.
    """

    id: str
    words: str
    advice: str


@dataclass(frozen=True)
class Event:
    """Something that happened while a case ran.

    Attributes:
      t_s: seconds since the case began.
      connection: which of the case's connections, counted from 1; 0 for what
        belongs to none.
      kind: bytes ``"sent"`` or ``"received"``, or another ``"event"``.
      data: the bytes, from the first on; long ones are cut.
      size_bytes: how many there were.
      text: what happened, if it was another event.
    """

    t_s: float
    connection: int
    kind: Literal["sent", "received", "event"]
    data: bytes = b""
    size_bytes: int = 0
    text: str = ""

    @property
    def left_out_bytes(self) -> int:
        """Bytes that are not in ``data``."""
        return self.size_bytes - len(self.data)


@dataclass(frozen=True)
class CaseResult:
    """What came of one case.

    Attributes:
      id: the rule's, as ``"2.3"``.
      verdict: how it ended.
      summary: that in a line.
      expected: what the rule asks for here; empty if the case passed.
      actual: what was seen instead.
      cause: the likely cause, if one is known.
      transcript: what was sent and received, in order.
      events_left_out: how many events are not in the transcript, after its first
        `FIRST_EVENTS`.
      notes: whatever else a reader should know: that it was tried twice, the
        server's last lines.
      reproduce: the command that runs this case alone, with the same bytes.
      elapsed_s: how long it took, in seconds.
      attempts: how often it ran until this verdict was certain.
      book: where its rule stands.
    """

    id: str
    verdict: Verdict
    summary: str
    expected: str = ""
    actual: str = ""
    cause: Cause | None = None
    transcript: tuple[Event, ...] = ()
    events_left_out: int = 0
    notes: tuple[str, ...] = ()
    reproduce: str = ""
    elapsed_s: float = 0.0
    attempts: int = 1
    book: Book = SERVERS

    @property
    def rule(self) -> Rule:
        """What the book says about it."""
        return self.book.rules[self.id]


@dataclass(frozen=True)
class AskedRequest:
    """A request that was asked, and what its replies were held to.

    Attributes:
      payload: of the request.
      reply: the frame that a polite client got first.
      left_out: which bytes of it were not compared, as they vary: offsets of the first, and of
        the one after the last.
      has_varying_length: whether its length varies; then only the beginning was compared.
    """

    payload: bytes
    reply: bytes
    left_out: tuple[tuple[int, int], ...] = ()
    has_varying_length: bool = False


@dataclass(frozen=True)
class Asking:
    """What was asked of a service that does not echo.

    Attributes:
      source: where the requests are from.
      requests: in their order.
      correlate: where each has an identifier that comes back in its reply, as ``--correlate`` has
        it; empty if they have none.
      first_messages: how many messages were sent first on every connection.
    """

    source: str
    requests: tuple[AskedRequest, ...]
    correlate: str = ""
    first_messages: int = 0


@dataclass(frozen=True)
class ClientFacts:
    """What a client does with a server that is right.

    Attributes:
      messages: how many frames it sends, over all connections.
      connections: how many it opens.
      sent_bytes: how much it sends in all.
      run_s: how long it takes from its start to its end, in seconds.
      silence_s: longest time between two things that it did.
      is_pipelining: whether it sends further frames before the reply to the first has come.
      last_line: what it has written last; empty if nothing.
    """

    messages: int = 0
    connections: int = 0
    sent_bytes: int = 0
    run_s: float = 0.0
    silence_s: float = 0.0
    is_pipelining: bool = False
    last_line: str = ""


@dataclass(frozen=True)
class CheckMachine:
    """A worker of a cluster, on which a server or client was checked.

    Attributes:
      worker: its name in the cluster.
      host: the machine's name.
    """

    worker: str
    host: str

    def __str__(self) -> str:
        return f"worker {self.worker} on {self.host}"


@dataclass(frozen=True)
class SuiteResult:
    """What came of a run.

    Attributes:
      target: its name; if it has none, ``HOST:PORT``, or the command that starts it.
      address: where it listened, ``HOST:PORT``; empty for a client.
      command: what started it; None if it was running already.
      seed: what the bytes were made from.
      format: how headers were written, as ``--format`` has it.
      max_frame_length: the server's limit in payload bytes; None if not given.
      round_trip_s: the median round trip of a small frame, in seconds.
      patience_s: how long the server could be silent at first, in seconds.
      confirm_patience_s: how long it could when a case was tried again, before
        its silence was believed.
      jobs: how many cases ran side by side.
      results: in the book's order.
      causes: what probably is wrong, over all cases, the likeliest first.
      notes: what else a reader should know about the whole run.
      started_at: when, in UTC, as ISO 8601.
      elapsed_s: how long it took, in seconds.
      versions: of trioecho, python, trio and the platform.
      cut_short: why the run ended before all cases were decided; empty if it did not.
      asking: what was asked of a service that does not echo; None if echoes were.
      book: the rules that it was held to.
      client: what the client does with a server that is right; None for a server.
      machine: where it was checked; None if that was this one.
    """

    target: str
    address: str
    command: str | None
    seed: int
    format: str
    max_frame_length: int | None
    round_trip_s: float
    patience_s: float
    confirm_patience_s: float
    jobs: int
    results: tuple[CaseResult, ...]
    causes: tuple[Cause, ...]
    notes: tuple[str, ...]
    started_at: str
    elapsed_s: float
    versions: dict[str, str] = field(default_factory=dict)
    cut_short: str = ""
    asking: Asking | None = None
    book: Book = SERVERS
    client: ClientFacts | None = None
    machine: CheckMachine | None = None

    def count(self, verdict: Verdict) -> int:
        """Return how many cases ended with this verdict."""
        return sum(result.verdict is verdict for result in self.results)

    def broken(self, *, strict: bool = False) -> list[CaseResult]:
        """Return the cases that speak against the server; with ``strict`` broken SHOULDs too."""
        return [result for result in self.results if counts_against(result, strict=strict)]

    def outcome(self, *, strict: bool = False) -> Literal["conformant", "not conformant", "inconclusive"]:
        """Return the verdict on it: what is broken counts more than what is inconclusive.

        Where no rule could be tried nothing is known.
        """
        if self.broken(strict=strict):
            return "not conformant"
        return "conformant" if self.was_tried and not self.count(Verdict.INCONCLUSIVE) else "inconclusive"

    @property
    def was_tried(self) -> bool:
        """Whether any rule could be tried."""
        return len(self.results) > self.count(Verdict.NOT_APPLICABLE)


def counts_against(result: CaseResult, *, strict: bool) -> bool:
    """Return whether a result makes its server or client not conformant."""
    return result.verdict is Verdict.FAIL or (
        strict and result.verdict is Verdict.WARN and result.rule.level is Level.SHOULD
    )

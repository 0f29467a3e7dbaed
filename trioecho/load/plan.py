"""The plan of a load: how much, how large, how fast, in which order. Nothing here does anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from ..base.client_tls import ClientTls
from ..base.endpoint import checked_port, is_unix
from ..base.json_part import Part
from ..framing import FrameFormat
from .churn import Churn, read_churn
from .message_list import MOST_REPLY_BYTES, MessageSource, read_message_source
from .recorded_traffic import Replay
from .reply_rule import ReplyRule
from .service_traits import ServiceTraits, read_service_traits
from .sizes import SizeRange, Sizes
from .socket_options import SocketOptions, read_socket_options
from .stages import MAX_RATE_PER_S, Ramp, Stage, check_ramp, check_stages

_MAX_CONNECTIONS = (1 << 24) - 1  # as many as three bytes of a payload can number
_MAX_PROCESSES = 1024


@dataclass(frozen=True)
class LoadPlan:
    """A load, completely: the same plan sends the same bytes, on every machine.

    Closed loop (without ``rate``, ``ramp`` and ``stages``): every connection keeps ``pipeline``
    messages in flight; a new one is sent for each reply, after ``think_s``. Open loop: messages are
    due on a schedule that never waits for replies, on one connection after the other.

    Attributes:
      host: name or address of the server.
      port: its TCP port; 0 where the host is a Unix socket, ``unix:/path``.
      format: how headers are written.
      connections: how many are open at a time; all are, before the first message.
      messages: per connection, without those of the warm-up. None if ``duration_s`` says when it ends.
      duration_s: seconds of the measured part. None if ``messages`` says when it ends.
      sizes: of payloads, in bytes.
      pipeline: messages in flight per connection, closed loop only.
      think_s: how long a connection waits, after a reply, before it sends a message for it;
        closed loop only. Each message of a pipeline has a think time of its own. Connections begin at
        equal distances within the first think time, so that they do not move in step.
      rate: messages/s of all connections together; None for a closed loop.
      arrival: ``"uniform"``, at equal distances, or ``"poisson"``, as independent
        users come: exponentially distributed distances.
      warmup_s: seconds of load before the measured part. Its replies are verified;
        what is wrong counts, else it is in no number. An open loop warms up at
        ``rate``, or at the rate with which the ramp or the first stage begins.
      ramp: instead of a rate; implies an open loop. Without a duration and a number of
        messages the measured part is as long as the ramp.
      stages: instead of a rate, one after the other; they imply an open loop, and say how long the
        measured part is. Empty for a load without.
      seed: of payloads, sizes and Poisson distances.
      timeout_s: a reply that takes longer is late, and missing if it never comes.
      processes: worker processes; 1 is the calling process itself.
      source: what is known of the messages, if they are the user's own: `sizes` are then theirs, and
        without a duration each connection sends all of them once. None if the load makes them.
      reply: how replies are verified.
      service: what the service wants of its clients, beside the messages of the load.
      churn: how connections come and go.
      tls: how connections are under TLS; None if they are plain.
      replay: the messages are those of a recording, which says when each is due, and on which connection:
        an open loop without a rate, a length and a warm-up. None for any other load.
      sockets: the options that sockets have.

    Raises:
      ValueError: the plan is impossible; the message says what to change.
    """

    host: str
    port: int
    format: FrameFormat = field(default_factory=FrameFormat)
    connections: int = 5
    messages: int | None = None
    duration_s: float | None = None
    sizes: Sizes = field(default_factory=Sizes)
    pipeline: int = 1
    think_s: float = 0.0
    rate: float | None = None
    arrival: Literal["uniform", "poisson"] = "uniform"
    warmup_s: float = 0.0
    ramp: Ramp | None = None
    stages: tuple[Stage, ...] = ()
    seed: int = 0
    timeout_s: float = 10.0
    processes: int = 1
    source: MessageSource | None = None
    reply: ReplyRule = field(default_factory=ReplyRule)
    service: ServiceTraits = field(default_factory=ServiceTraits)
    churn: Churn = field(default_factory=Churn)
    tls: ClientTls | None = None
    replay: Replay | None = None
    sockets: SocketOptions = field(default_factory=SocketOptions)

    def __post_init__(self) -> None:
        if self.source is not None:
            sizes = Sizes.of(self.source.least_bytes, self.source.most_bytes)
            object.__setattr__(self, "sizes", sizes)
        self._settle_length()
        self._check_counts()
        self._check_rates()
        self._check_service()
        for name in ("think_s", "warmup_s", "duration_s", "timeout_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be 0 or more seconds, not {value:g}")
        if self.duration_s == 0:
            raise ValueError("a duration of 0 s measures nothing; take 10 s or so")
        if self.timeout_s == 0:
            raise ValueError("a timeout of 0 s makes every reply late; take 10 s or so")
        if self.sizes.most > self.format.max_payload_length:
            raise ValueError(
                f"a size of {self.sizes.most} bytes is over what the header of {self.format.header_bytes} "
                f"bytes can express, {self.format.max_payload_length}; take smaller sizes or a wider header"
            )

    def _settle_length(self) -> None:
        if self.replay is not None:
            return  # it ends with its last message
        if self.messages is not None and self.duration_s is not None:
            raise ValueError("give a number of messages or a duration, not both")
        if self.stages:
            self._settle_length_by_stages()
        if self.messages is None and self.duration_s is None:
            if self.ramp is not None:
                object.__setattr__(self, "duration_s", self.ramp.over_s)
            else:
                object.__setattr__(self, "messages", self.source.messages if self.source else 200)

    def _settle_length_by_stages(self) -> None:
        check_stages(self.stages)
        length_s = math.fsum(stage.length_s for stage in self.stages)
        if self.messages is not None or self.duration_s not in (None, length_s):
            raise ValueError("stages say how long the load is; leave out messages and duration")
        if self.warmup_s and not self.stages[0].from_rate:
            raise ValueError("a warm-up has the rate with which the first stage begins, and that is 0")
        object.__setattr__(self, "duration_s", length_s)

    def _check_counts(self) -> None:
        for name, most in (
            ("connections", _MAX_CONNECTIONS),
            ("messages", 1 << 40),
            ("pipeline", 1 << 20),
            ("processes", _MAX_PROCESSES),
        ):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= most:
                raise ValueError(f"{name} must be from 1 to {most}, not {value}")
        if is_unix(self.host):
            checked_port(self.host, self.port)
            if not self.sockets.are_for_all:
                raise ValueError(f"{self.sockets.in_words}: that is for TCP, and {self.host} is no TCP")
        elif not 1 <= self.port <= 0xFFFF:
            raise ValueError(f"port must be from 1 to 65535, not {self.port}")
        if not 0 <= self.seed < 1 << 64:
            raise ValueError(f"seed must be a whole number from 0 to 2**64 - 1, not {self.seed}")
        if self.processes > self.connections:
            raise ValueError(
                f"{self.processes} processes cannot share {self.connections} connections; "
                "take at least one connection for each process"
            )

    def _check_rates(self) -> None:
        if self.arrival not in ("uniform", "poisson"):
            raise ValueError(f"arrival must be 'uniform' or 'poisson', not {self.arrival!r}")
        if (self.rate is not None) + (self.ramp is not None) + bool(self.stages) > 1:
            raise ValueError("give a rate, a ramp or stages, not several of them")
        if self.replay is not None:
            self._check_replay()
        if self.rate is not None and not 0 < self.rate <= MAX_RATE_PER_S:
            raise ValueError(f"a rate of {self.rate:g} messages/s is impossible; it must be more than 0")
        if self.ramp is not None:
            check_ramp(self.ramp)
            if self.messages is not None and self.ramp.to_rate == 0:
                raise ValueError("a ramp down to 0 may never send all messages; give a duration instead")
        if self.is_open and self.pipeline != 1:
            raise ValueError("a pipeline belongs to a closed loop: in an open one the rate says what is sent")
        if self.is_open and self.think_s:
            raise ValueError(
                "a think time belongs to a closed loop: in an open one the rate says what is sent"
            )

    def _check_replay(self) -> None:
        others = (self.rate, self.ramp, self.stages, self.messages, self.duration_s, self.warmup_s)
        for is_wrong, reason in (
            (any(others), "has its own times: leave out rate, ramp, stages, numbers, durations and warm-up"),
            (self.source is None, "needs the source of its messages"),
            (self.churn.renews, "has its own connections, which are open to its end"),
            (self.service.key is not None, "has replies in their order: leave out the key"),
        ):
            if is_wrong:
                raise ValueError(f"a replay {reason}")

    def _check_service(self) -> None:
        if self.reply.word == "recorded" and (self.source is None or self.source.most_reply_bytes is None):
            raise ValueError(
                "replies can only be compared with recorded ones if there are messages with them"
            )
        if not self.service.conversation:
            return
        for is_wrong, reason in (
            (self.reply.word is not None, f"is a function, and not {self.reply}"),
            (self.source is not None, "makes its messages itself: leave out the file of messages"),
            (self.service.key is not None, "has one message in flight: leave out the key"),
            (self.is_open, "sends a message when the last one has its reply: leave out the schedule"),
            (self.pipeline != 1, "has one message in flight: leave out the pipeline"),
        ):
            if is_wrong:
                raise ValueError(f"a conversation {reason}")

    @property
    def verification(self) -> str:
        """What was done with replies, a sentence without its end, which every report has."""
        if self.service.conversation:
            return f"every reply was given to {self.reply}, which made the messages"
        if self.service.key is not None:
            words = self.reply.in_words.replace(" and order", "")
            return f"each reply belongs to the message with the same {self.service.key}; {words}"
        return self.reply.in_words

    @property
    def is_open(self) -> bool:
        """True if messages are due on a schedule, whatever the replies do."""
        is_scheduled = self.rate is not None or self.ramp is not None or bool(self.stages)
        return is_scheduled or self.replay is not None

    @property
    def largest_reply(self) -> int:
        """The payload bytes that a reply may have; what is longer is no reply."""
        if self.reply.word == "echo":
            return self.sizes.most
        recorded = 0 if self.source is None else self.source.most_reply_bytes or 0
        return max(self.sizes.most, recorded, MOST_REPLY_BYTES)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON has it; `from_dict` reads it back."""
        plan: dict[str, Any] = {attribute.name: getattr(self, attribute.name) for attribute in fields(self)}
        plan["format"] = str(self.format)
        plan["sizes"] = [part._asdict() for part in self.sizes.ranges]
        plan["ramp"] = None if self.ramp is None else self.ramp._asdict()
        plan["stages"] = [stage._asdict() for stage in self.stages]
        plan["source"] = None if self.source is None else asdict(self.source)
        plan["reply"] = str(self.reply)
        plan["service"] = self.service.to_dict()
        plan["churn"] = self.churn.to_dict()
        plan["tls"] = None if self.tls is None else asdict(self.tls) | {"alpn": list(self.tls.alpn)}
        plan["sockets"] = self.sockets.to_dict()
        plan["replay"] = None if self.replay is None else asdict(self.replay)
        return plan

    @classmethod
    def from_dict(cls, plan: Mapping[str, Any]) -> LoadPlan:
        """Return the plan that `to_dict` described.

        Raises:
          DamagedError: it is no plan, or an impossible one; a `ValueError`.
        """
        return read_plan(Part(plan))


# Attributes that old files do not have: they mean the defaults.
_ADDED_LATER = frozenset(
    {"think_s", "stages", "source", "reply", "service", "churn", "tls", "sockets", "replay"}
)


def read_plan(part: Part) -> LoadPlan:
    """Return the plan that a part of a document is.

    Raises:
      DamagedError: it is none, or an impossible one.
    """

    def read_sizes(ranges: Part) -> Sizes:
        try:
            return Sizes(ranges.read(tuple[SizeRange, ...]))
        except ValueError as error:
            raise ranges.wrong(str(error)) from None

    def read_format(words: Part) -> FrameFormat:
        try:
            if isinstance(words.value, dict):  # as older versions wrote it
                old: FrameFormat = words.record(FrameFormat)
                return old
            return FrameFormat.parse(words.text())
        except ValueError as error:
            raise words.wrong(str(error)) from None

    def read_reply(word: Part) -> ReplyRule:
        try:
            return ReplyRule(word.text())
        except ValueError as error:
            raise word.wrong(str(error)) from None

    readers = {
        Sizes: read_sizes,
        FrameFormat: read_format,
        ReplyRule: read_reply,
        MessageSource: read_message_source,
        ServiceTraits: read_service_traits,
        Churn: read_churn,
        SocketOptions: read_socket_options,
    }
    plan: LoadPlan = part.record(LoadPlan, readers=readers, may_be_missing=_ADDED_LATER)
    return plan

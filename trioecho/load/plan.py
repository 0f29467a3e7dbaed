"""The plan of a load: how much, how large, how fast, in which order. Nothing here does anything."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, NamedTuple

from ..base.json_part import Part
from ..framing import FrameFormat
from .message_list import MOST_REPLY_BYTES, MessageSource
from .reply_rule import ReplyRule
from .service_traits import ServiceTraits, read_service_traits

_MAX_CONNECTIONS = (1 << 24) - 1  # as many as three bytes of a payload can number
_MAX_RATE_PER_S = 1e9
_MAX_PROCESSES = 1024


class SizeRange(NamedTuple):
    """Payload sizes in bytes, both ends included, and each as likely as the others.

    Attributes:
      least: the smallest.
      most: the largest.
      weight: how often a size is of this range, next to the other ranges' weights.
    """

    least: int
    most: int
    weight: float = 1.0

    def __str__(self) -> str:
        sizes = f"{self.least}" if self.least == self.most else f"{self.least}-{self.most}"
        return sizes if self.weight == 1 else f"{sizes}:{self.weight:g}"


@dataclass(frozen=True)
class Sizes:
    """Sizes of payloads: ranges with weights.

    ``Sizes.of(64)``, ``Sizes.of(64, 4096)``, ``Sizes((SizeRange(64, 64, 9), SizeRange(65536, 65536, 1)))``.

    Raises:
      ValueError: there is no range; one is empty or has a negative size; a weight
        is not a positive, finite number.
    """

    ranges: tuple[SizeRange, ...] = (SizeRange(64, 64),)
    _cumulative: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.ranges:
            raise ValueError("sizes need at least one range")
        for least, most, weight in self.ranges:
            if least < 0:
                raise ValueError(f"a size cannot be negative, as {least} is")
            if least > most:
                raise ValueError(f"a range of sizes goes from the smaller to the larger, not {least}-{most}")
            if not (math.isfinite(weight) and weight > 0):
                raise ValueError(f"the weight of a size must be more than 0, not {weight:g}")
        weights = itertools.accumulate(part.weight for part in self.ranges)
        object.__setattr__(self, "_cumulative", tuple(weights))

    @classmethod
    def of(cls, least: int, most: int | None = None) -> Sizes:
        """Return one size, or one range."""
        return cls((SizeRange(least, least if most is None else most),))

    @property
    def least(self) -> int:
        """The smallest size, in bytes."""
        return min(part.least for part in self.ranges)

    @property
    def most(self) -> int:
        """The largest size, in bytes."""
        return max(part.most for part in self.ranges)

    @property
    def mean(self) -> float:
        """The mean size, in bytes."""
        weighted = sum((part.least + part.most) / 2 * part.weight for part in self.ranges)
        return weighted / self._cumulative[-1]

    def at(self, quantile: float) -> int:
        """Return the size at a place of the distribution, from 0 up to, and without, 1."""
        place = quantile * self._cumulative[-1]
        index = min(bisect.bisect_right(self._cumulative, place), len(self.ranges) - 1)
        part = self.ranges[index]
        begins = self._cumulative[index] - part.weight
        within = (place - begins) / part.weight
        return min(part.most, part.least + int(within * (part.most - part.least + 1)))

    def __str__(self) -> str:
        return ",".join(map(str, self.ranges))


class Ramp(NamedTuple):
    """A rate that grows, or falls, in a straight line, and then stays.

    Attributes:
      from_rate: messages/s at the start of the measured part.
      to_rate: messages/s at the end of the ramp, and from then on.
      over_s: how long it takes.
    """

    from_rate: float
    to_rate: float
    over_s: float


@dataclass(frozen=True)
class LoadPlan:
    """A load, completely: the same plan sends the same bytes, on every machine.

    Closed loop (``rate`` and ``ramp`` are None): every connection keeps ``pipeline``
    messages in flight; a new one is sent for each reply, after ``think_s``. Open loop: messages are
    due on a schedule that never waits for replies, on one connection after the other.

    Attributes:
      host: name or address of the server.
      port: its TCP port.
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
        ``rate``, or at the rate with which the ramp begins.
      ramp: instead of a rate; implies an open loop. Without a duration and a number of
        messages the measured part is as long as the ramp.
      seed: of payloads, sizes and Poisson distances.
      timeout_s: a reply that takes longer is late, and missing if it never comes.
      processes: worker processes; 1 is the calling process itself.
      source: what is known of the messages, if they are the user's own: `sizes` are then theirs, and
        without a duration each connection sends all of them once. None if the load makes them.
      reply: how replies are verified.
      service: what the service wants of its clients, beside the messages of the load.

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
    seed: int = 0
    timeout_s: float = 10.0
    processes: int = 1
    source: MessageSource | None = None
    reply: ReplyRule = field(default_factory=ReplyRule)
    service: ServiceTraits = field(default_factory=ServiceTraits)

    def __post_init__(self) -> None:
        if self.source is not None:
            sizes = Sizes.of(self.source.least_bytes, self.source.most_bytes)
            object.__setattr__(self, "sizes", sizes)
        self._settle_length()
        self._check_counts()
        self._check_rates()
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
        if self.messages is not None and self.duration_s is not None:
            raise ValueError("give a number of messages or a duration, not both")
        if self.messages is None and self.duration_s is None:
            if self.ramp is not None:
                object.__setattr__(self, "duration_s", self.ramp.over_s)
            else:
                object.__setattr__(self, "messages", self.source.messages if self.source else 200)

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
        if not 1 <= self.port <= 0xFFFF:
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
        if self.rate is not None and self.ramp is not None:
            raise ValueError("give a rate or a ramp, not both")
        if self.rate is not None and not 0 < self.rate <= _MAX_RATE_PER_S:
            raise ValueError(f"a rate of {self.rate:g} messages/s is impossible; it must be more than 0")
        if self.ramp is not None:
            begin, end, over_s = self.ramp
            if not (0 <= begin <= _MAX_RATE_PER_S and 0 <= end <= _MAX_RATE_PER_S and begin + end > 0):
                raise ValueError(f"a ramp from {begin:g} to {end:g} messages/s is impossible")
            if not (math.isfinite(over_s) and over_s > 0):
                raise ValueError(f"a ramp must take more than {over_s:g} s")
            if self.messages is not None and end == 0:
                raise ValueError("a ramp down to 0 may never send all messages; give a duration instead")
        if self.reply.word == "recorded" and (self.source is None or self.source.most_reply_bytes is None):
            raise ValueError(
                "replies can only be compared with recorded ones if there are messages with them"
            )
        if self.is_open and self.pipeline != 1:
            raise ValueError("a pipeline belongs to a closed loop: in an open one the rate says what is sent")
        if self.is_open and self.think_s:
            raise ValueError(
                "a think time belongs to a closed loop: in an open one the rate says what is sent"
            )

    @property
    def is_open(self) -> bool:
        """True if messages are due on a schedule, whatever the replies do."""
        return self.rate is not None or self.ramp is not None

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
        plan["source"] = None if self.source is None else asdict(self.source)
        plan["reply"] = str(self.reply)
        plan["service"] = self.service.to_dict()
        return plan

    @classmethod
    def from_dict(cls, plan: Mapping[str, Any]) -> LoadPlan:
        """Return the plan that `to_dict` described.

        Raises:
          DamagedError: it is no plan, or an impossible one; a `ValueError`.
        """
        return read_plan(Part(plan))


# Attributes that old files do not have: they mean the defaults.
_ADDED_LATER = frozenset({"think_s", "source", "reply", "service"})


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
        ServiceTraits: read_service_traits,
    }
    plan: LoadPlan = part.record(LoadPlan, readers=readers, may_be_missing=_ADDED_LATER)
    return plan

"""What a supervisor and its workers say to each other: frames of JSON over a pair of sockets.

::

    supervisor                                                       worker
        Task         what to serve, and where              ------------>
                                                           <------------  Ready
                                  Increment, as often as there is something new
                                               LogLine, as they are written
        Order        DRAIN, STOP                           ------------>
                                                           <------------  Ended

The end of the stream says that the other process is gone, however it went.
"""

from __future__ import annotations

import enum
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ..framing import FrameFormat
from ..histogram import Histogram
from ..limits import Limits
from ..metrics import Counts


@dataclass(frozen=True)
class Task:
    """What a worker is to do.

    Attributes:
      descriptors: its listening sockets, which it has inherited.
      format: how headers are written.
      limits: this worker's own.
      increment_interval_s: seconds from one `Increment` to the next.
    """

    descriptors: tuple[int, ...]
    format: FrameFormat
    limits: Limits
    increment_interval_s: float


class Order(enum.Enum):
    """What a worker is told while it serves."""

    DRAIN = "drain"
    STOP = "stop"


@dataclass(frozen=True)
class Ready:
    """The worker serves."""


@dataclass(frozen=True)
class Increment:
    """What the worker has counted since its last increment, and its connections open now."""

    counts: Counts
    connections: int


@dataclass(frozen=True)
class LogLine:
    """A line for the log: its level, when it was written (seconds since the epoch), its words."""

    level: int
    created: float
    text: str


@dataclass(frozen=True)
class Ended:
    """The worker has counted and told everything, and goes; so many connections were aborted."""

    connections_aborted: int


Message = Task | Order | Ready | Increment | LogLine | Ended


def encode_message(message: Message) -> bytes:
    """The payload of a message's frame."""
    return json.dumps({type(message).__name__: _fields(message)}).encode()


def decode_message(payload: bytes) -> Message:
    """The message of a payload that `encode_message` made."""
    [(kind, fields)] = json.loads(payload).items()
    return _DECODERS[kind](fields)


def _fields(message: Message) -> Any:
    if isinstance(message, Order):
        return message.value
    if isinstance(message, Increment):
        return {"counts": _counts_fields(message.counts), "connections": message.connections}
    if isinstance(message, Task):
        form = message.format
        return {
            "descriptors": message.descriptors,
            "format": [form.header_bytes, form.byte_order, form.length_includes_header],
            "limits": asdict(message.limits),
            "increment_interval_s": message.increment_interval_s,
        }
    return asdict(message)


def _task(fields: Any) -> Task:
    return Task(
        descriptors=tuple(fields["descriptors"]),
        format=FrameFormat(*fields["format"]),
        limits=Limits(**fields["limits"]),
        increment_interval_s=fields["increment_interval_s"],
    )


def _counts_fields(counts: Counts) -> dict[str, Any]:
    service = counts.service_ns
    return {
        "messages": counts.messages,
        "wire_bytes": counts.wire_bytes,
        # JSON has no numbers as keys.
        "service_ns": [list(service.buckets.items()), service.total, service.max],
        "blocked_s": counts.blocked_s,
        "errors": counts.errors,
    }


def _counts(fields: Any) -> Counts:
    counts = Counts()
    counts.messages = fields["messages"]
    counts.wire_bytes = fields["wire_bytes"]
    buckets, total, largest = fields["service_ns"]
    counts.service_ns = Histogram.from_buckets(dict(buckets), total, largest)
    counts.blocked_s = fields["blocked_s"]
    counts.errors = Counter(fields["errors"])
    return counts


_DECODERS: dict[str, Callable[[Any], Message]] = {
    "Task": _task,
    "Order": Order,
    "Ready": lambda fields: Ready(),
    "Increment": lambda fields: Increment(_counts(fields["counts"]), fields["connections"]),
    "LogLine": lambda fields: LogLine(**fields),
    "Ended": lambda fields: Ended(**fields),
}

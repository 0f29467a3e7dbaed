"""What a supervisor and its workers send to each other: JSON documents over a `JsonChannel`.

::

    supervisor                                                       worker
        WorkerConfig  what to serve, and where             ------------>
                                                           <------------  Ready, or CannotStart
                                  Increment, as often as there is something new,
                                             and at least every beat
                                               LogLine, as they are written
        Command       DRAIN, HAND_OVER, STOP, RELOAD       ------------>
                                                           <------------  Ended

The end of the stream means that the other process is gone, for whatever reason.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...base.functions_by_name import FunctionReference
from ...base.histogram import Histogram
from ...base.tls_files import TlsFiles
from ...framing import FrameFormat
from ...limits import Limits
from ..counts import Counts
from ..proxy_protocol import ProxyProtocol

# How long a worker that ends may take to send its last messages, on a busy machine, too.
LAST_WORDS_S = 5.0


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker has to do.

    Attributes:
      descriptors: its listening sockets, which it has inherited.
      format: how headers are written.
      limits: of this worker.
      increment_interval_s: seconds from one `Increment` to the next.
      handler: the function to serve; None for echoes.
      reload: whether the worker ends when a source file of the handler changes, so that another is started.
      is_replacement: whether the service has served before. Then a worker that is to reload waits for
        a change if it cannot start.
      tls: the files of TLS; None if connections are plain.
      proxy_protocol: whose PROXY headers are believed; None if none come.
      counts_received: whether bytes received are counted.
    """

    descriptors: tuple[int, ...]
    format: FrameFormat
    limits: Limits
    increment_interval_s: float
    handler: FunctionReference | None = None
    reload: bool = False
    is_replacement: bool = False
    tls: TlsFiles | None = None
    proxy_protocol: ProxyProtocol | None = None
    counts_received: bool = False


class Command(enum.Enum):
    """What the supervisor commands a worker that serves."""

    DRAIN = "drain"
    HAND_OVER = "hand over"  # drain, and leave what is queued to another process
    STOP = "stop"
    RELOAD = "reload"  # the files of TLS, for new connections


@dataclass(frozen=True)
class Ready:
    """The worker serves."""


@dataclass(frozen=True)
class CannotStart:
    """The function to serve cannot be imported, or its context manager cannot start; the worker ends."""

    reason: str


@dataclass(frozen=True)
class Increment:
    """What the worker has counted since its last increment, and how many connections are open now."""

    counts: Counts
    connections: int


@dataclass(frozen=True)
class LogLine:
    """A line for the log: its level, when it was written (seconds since the epoch), its text."""

    level: int
    created: float
    text: str


@dataclass(frozen=True)
class Ended:
    """The worker has sent all that it counted, and ends; this many connections were aborted.

    Attributes:
      failure: why the context manager of the service failed; empty if it did not.
      has_changed: whether it ends because a source file has changed.
    """

    connections_aborted: int
    failure: str = ""
    has_changed: bool = False


Message = WorkerConfig | Command | Ready | CannotStart | Increment | LogLine | Ended


def encode_message(message: Message) -> dict[str, Any]:
    """Return the message as a JSON document."""
    return {type(message).__name__: _fields(message)}


def decode_message(document: Mapping[str, Any]) -> Message:
    """Return the message of a document that `encode_message` made."""
    [(kind, fields)] = document.items()
    return _DECODERS[kind](fields)


def _fields(message: Message) -> Any:
    if isinstance(message, Command):
        return message.value
    if isinstance(message, Increment):
        return {"counts": _counts_fields(message.counts), "connections": message.connections}
    if isinstance(message, WorkerConfig):
        return {
            "descriptors": message.descriptors,
            "format": str(message.format),
            "limits": asdict(message.limits),
            "increment_interval_s": message.increment_interval_s,
            "reload": message.reload,
            "is_replacement": message.is_replacement,
            "handler": None if message.handler is None else asdict(message.handler),
            "tls": None if message.tls is None else asdict(message.tls),
            "proxy_protocol": None if message.proxy_protocol is None else asdict(message.proxy_protocol),
            "counts_received": message.counts_received,
        }
    return asdict(message)


def _config(fields: Any) -> WorkerConfig:
    return WorkerConfig(
        descriptors=tuple(fields["descriptors"]),
        format=FrameFormat.parse(fields["format"]),
        limits=Limits(**fields["limits"]),
        increment_interval_s=fields["increment_interval_s"],
        reload=fields["reload"],
        is_replacement=fields["is_replacement"],
        handler=None if fields["handler"] is None else FunctionReference(**fields["handler"]),
        tls=None
        if fields["tls"] is None
        else TlsFiles(**{**fields["tls"], "alpn": tuple(fields["tls"]["alpn"])}),
        proxy_protocol=_proxy_protocol(fields["proxy_protocol"]),
        counts_received=fields["counts_received"],
    )


def _proxy_protocol(fields: Any) -> ProxyProtocol | None:
    if fields is None:
        return None
    return ProxyProtocol(fields["accepts"], tuple(fields["allow_from"]))


def _counts_fields(counts: Counts) -> dict[str, Any]:
    service = counts.service_ns
    return {
        "messages": counts.messages,
        "wire_bytes": counts.wire_bytes,
        # JSON has no numbers as keys.
        "service_ns": [list(service.buckets.items()), service.total, service.max],
        "blocked_s": counts.blocked_s,
        "errors": counts.errors,
        "accepted": counts.accepted,
        "received_bytes": counts.received_bytes,
    }


def _counts(fields: Any) -> Counts:
    counts = Counts()
    counts.messages = fields["messages"]
    counts.wire_bytes = fields["wire_bytes"]
    buckets, total, largest = fields["service_ns"]
    counts.service_ns = Histogram.from_buckets(dict(buckets), total, largest)
    counts.blocked_s = fields["blocked_s"]
    counts.errors = Counter(fields["errors"])
    counts.accepted = fields["accepted"]
    counts.received_bytes = fields["received_bytes"]
    return counts


_DECODERS: dict[str, Callable[[Any], Message]] = {
    "WorkerConfig": _config,
    "Command": Command,
    "Ready": lambda fields: Ready(),
    "CannotStart": lambda fields: CannotStart(**fields),
    "Increment": lambda fields: Increment(_counts(fields["counts"]), fields["connections"]),
    "LogLine": lambda fields: LogLine(**fields),
    "Ended": lambda fields: Ended(**fields),
}

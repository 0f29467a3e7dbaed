"""The plan of how connections come and go during a load. Nothing here does anything."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ..base.json_part import Part

_MAX_RATE_PER_S = 1e9
_MAX_COUNT = 1 << 40


class Span(NamedTuple):
    """A number that is drawn anew for each connection, both ends included.

    Attributes:
      least: the smallest.
      most: the largest.
    """

    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.least:.12g}" + (f"-{self.most:.12g}" if self.most != self.least else "")


class Source(NamedTuple):
    """From where connections are made.

    Attributes:
      address: of this machine.
      device: the network device over which they go; empty if the system chooses.
    """

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    device: str

    def __str__(self) -> str:
        return f"{self.address}%{self.device}" if self.device else str(self.address)


# As the kernel has it: IFNAMSIZ without the zero at the end.
_DEVICE = re.compile(r"[^\s/%]{1,15}")


def parse_source(text: str) -> Source:
    """Read an address, perhaps with a device: ``127.0.0.2``, ``192.0.2.1%eth0``, ``fe80::1%eth0``.

    Raises:
      ValueError: it is none; the message says what to write.
    """
    address, percent, device = text.partition("%")
    try:
        source = Source(ipaddress.ip_address(address), device)
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address; write one as 127.0.0.2") from None
    if percent and not _DEVICE.fullmatch(device):
        raise ValueError(f"{text!r} names no device behind the %; write one as 127.0.0.2%lo")
    return source


@dataclass(frozen=True)
class Churn:
    """How connections come and go. By default all are open from the start to the end.

    Attributes:
      reconnect: whether a connection that is lost is opened again, with growing, random waits while
        that fails. What was in flight on it is lost; what had still to be sent goes on the next one.
      per_connection: after how many messages a connection is ended in order (all replies, half-close,
        end of the server's stream), and another one opened in its place; whole numbers. None for no such end.
      lifetime_s: the same after a time, in seconds since it was opened.
      connect_rate: connections/s that are begun at most, at the start and later; None for no limit.
      sources: addresses of this machine from which connections are made, in turns, each perhaps with the
        network device over which they go, as ``192.0.2.1%eth0``; empty if the system chooses.

    Raises:
      ValueError: it is impossible; the message says what to change.
    """

    reconnect: bool = False
    per_connection: Span | None = None
    lifetime_s: Span | None = None
    connect_rate: float | None = None
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, span, most in (
            ("per_connection", self.per_connection, _MAX_COUNT),
            ("lifetime_s", self.lifetime_s, 1e9),
        ):
            if span is not None and not 0 < span.least <= span.most <= most:
                raise ValueError(f"{name} goes from the smaller to the larger, above 0, not {span}")
        counts = self.per_connection
        if counts is not None and not (counts.least % 1 == counts.most % 1 == 0):
            raise ValueError(f"per_connection is a whole number of messages, not {counts}")
        rate = self.connect_rate
        if rate is not None and not (math.isfinite(rate) and 0 < rate <= _MAX_RATE_PER_S):
            raise ValueError(f"{rate:g} new connections per second are impossible; it must be more than 0")
        self._check_sources()

    def _check_sources(self) -> None:
        sources = [parse_source(source) for source in self.sources]
        if len({source.address.version for source in sources}) > 1:
            raise ValueError("the addresses of sources are all of IPv4 or all of IPv6")
        if len(set(sources)) < len(sources):
            raise ValueError("an address of sources is there twice; name each once")

    @property
    def renews(self) -> bool:
        """True if connections may be opened after the start."""
        return self.reconnect or self.ends_connections

    @property
    def ends_connections(self) -> bool:
        """True if the load itself ends connections before its end."""
        return self.per_connection is not None or self.lifetime_s is not None

    @property
    def most_messages_per_s(self) -> float | None:
        """What new connections can send in the long run, where their rate and their messages are limited."""
        if self.connect_rate is None or self.per_connection is None:
            return None
        return self.connect_rate * (self.per_connection.least + self.per_connection.most) / 2

    @property
    def limit_in_words(self) -> str:
        """Where that comes from: ``40 new connections/s of 2 messages send 80 messages/s at most``."""
        most = self.most_messages_per_s
        if most is None:
            return ""
        noun = "message" if self.per_connection == Span(1, 1) else "messages"
        each = f"{self.connect_rate:,.12g} new connections/s of {self.per_connection} {noun}"
        return f"{each} send {most:,.12g} messages/s at most"

    @property
    def in_words(self) -> str:
        """What becomes of connections, a phrase; empty if all are open from the start to the end."""
        words = []
        if self.per_connection is not None:
            noun = "message" if self.per_connection.most == 1 else "messages"
            words.append(f"a new connection after {self.per_connection} {noun}")
        if self.lifetime_s is not None:
            words.append(f"a new connection after {self.lifetime_s} s")
        if self.reconnect:
            words.append("a new connection for one that is lost")
        if self.connect_rate is not None:
            words.append(f"at most {self.connect_rate:,.12g} new connections/s")
        if self.sources:
            words.append(f"from {', '.join(self.sources)}")
        return ", ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it; `read_churn` reads it back."""
        kinds = (("per_connection", self.per_connection, int), ("lifetime_s", self.lifetime_s, float))
        spans = {
            name: None if span is None else {"least": kind(span.least), "most": kind(span.most)}
            for name, span, kind in kinds
        }
        return {**asdict(self), **spans, "sources": list(self.sources)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Churn:
        """Return what `to_dict` described.

        Raises:
          DamagedError: it is no such thing, or an impossible one; a `ValueError`.
        """
        return read_churn(Part(document))


def read_churn(part: Part) -> Churn:
    """Return the churn that a part of a document is.

    Raises:
      DamagedError: it is none, or an impossible one.
    """
    churn: Churn = part.record(Churn)
    return churn

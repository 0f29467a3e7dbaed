"""The options that the sockets of a load have. Nothing here does anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from ..base.json_part import Part

DSCP_NAMES: Mapping[str, int] = MappingProxyType(
    {
        **{f"cs{number}": 8 * number for number in range(8)},
        **{f"af{group}{drop}": 8 * group + 2 * drop for group in range(1, 5) for drop in range(1, 4)},
        "ef": 46,
        "va": 44,
        "le": 1,
        "default": 0,
    }
)
"""The names of code points, in lower case (RFC 2474, 2597, 3246, 5865, 8622)."""

MAX_DSCP = 63
# Linux takes no larger buffer, and no larger segment.
_MAX_BUFFER = (1 << 30) - 1
_LEAST_MSS, _MAX_MSS = 88, 32767
_ALGORITHM = re.compile(r"[A-Za-z0-9_.-]{1,15}")


@dataclass(frozen=True)
class SocketOptions:
    """What sockets are asked for. The default is what the system does, and no delay of small segments.

    Attributes:
      nodelay: whether small segments are sent at once (``TCP_NODELAY``); else Nagle's algorithm lets them
        wait for the acknowledgement of what was sent before.
      send_buffer: bytes (``SO_SNDBUF``); None for what the system chooses.
      receive_buffer: bytes (``SO_RCVBUF``); likewise.
      congestion: the algorithm of congestion control (``TCP_CONGESTION``); None for the system's.
      mss: the largest segment, in bytes (``TCP_MAXSEG``); None for what the path allows.
      dscp: the code point of every packet, from 0 to 63 (``IP_TOS``, ``IPV6_TCLASS``); None for the system's.

    Raises:
      ValueError: an option is impossible; the message says what to change.
    """

    nodelay: bool = True
    send_buffer: int | None = None
    receive_buffer: int | None = None
    congestion: str | None = None
    mss: int | None = None
    dscp: int | None = None

    def __post_init__(self) -> None:
        for what, value, least, most in (
            ("a send buffer has", self.send_buffer, 1, _MAX_BUFFER),
            ("a receive buffer has", self.receive_buffer, 1, _MAX_BUFFER),
            ("the largest segment of TCP (MSS) has", self.mss, _LEAST_MSS, _MAX_MSS),
        ):
            if value is not None and not least <= value <= most:
                raise ValueError(f"{what} from {least} to {most} bytes, not {value}")
        if self.dscp is not None and not 0 <= self.dscp <= MAX_DSCP:
            raise ValueError(f"a code point (DSCP) is from 0 to {MAX_DSCP}, not {self.dscp}")
        if self.congestion is not None and not _ALGORITHM.fullmatch(self.congestion):
            raise ValueError(f"{self.congestion!r} cannot be the name of a congestion control")

    @property
    def are_default(self) -> bool:
        """True if nothing is asked for."""
        return self == SocketOptions()

    @property
    def are_for_all(self) -> bool:
        """True if sockets that are no TCP can have them, too: only a send buffer is theirs."""
        return replace(self, send_buffer=None).are_default

    @property
    def in_words(self) -> str:
        """What sockets are asked for, a phrase; empty if that is nothing."""
        words = [] if self.nodelay else ["Nagle's algorithm"]
        words += [f"send buffer {self.send_buffer:,} B"] if self.send_buffer is not None else []
        words += [f"receive buffer {self.receive_buffer:,} B"] if self.receive_buffer is not None else []
        words += [f"congestion control {self.congestion}"] if self.congestion is not None else []
        words += [f"segments of at most {self.mss:,} B"] if self.mss is not None else []
        words += [f"DSCP {dscp_in_words(self.dscp)}"] if self.dscp is not None else []
        return ", ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """Return them as JSON has them; `read_socket_options` reads them back."""
        return asdict(self)


def read_socket_options(part: Part) -> SocketOptions:
    """Return the options that a part of a document is.

    Raises:
      DamagedError: it is something else, or they are impossible.
    """
    names = [each.name for each in fields(SocketOptions)]
    options: SocketOptions = part.record(SocketOptions, may_be_missing=names)
    return options


def dscp_in_words(dscp: int) -> str:
    """Return a code point, and its name if it has one, as ``ef (46)``."""
    name = next((name for name, value in DSCP_NAMES.items() if value == dscp), "")
    return f"{name} ({dscp})" if name else str(dscp)

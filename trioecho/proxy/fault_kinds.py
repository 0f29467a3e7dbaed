"""The words for faults: options, configuration files and the HTTP API have them from here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..base.written_values import (
    read_count,
    read_positive_count,
    read_probability,
    read_seconds,
    read_size,
    read_size_range,
    refused,
    split_range,
)
from .faults import FrameFault


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault.

    Attributes:
      word: its name, as ``corrupt``, ``reset-after``.
      help: what it does, in a few words.
      frame_fault: what it does to frames; None if it is a fault of the stream.
      metavar: what its value is; empty if it has none.
      read: reads its value, and raises `ValueError` with a sentence that says what would be right.
      example: of a value.
    """

    word: str
    help: str
    frame_fault: FrameFault | None = None
    metavar: str = ""
    read: Callable[[str], object] | None = None
    example: str = ""


@dataclass(frozen=True)
class FaultParameter:
    """What some faults have beside their value.

    Attributes:
      word: its name.
      metavar: what its value is.
      help: what it does.
      read: reads its value, as of `FaultKind`.
      of: says whether a kind has it.
    """

    word: str
    metavar: str
    help: str
    read: Callable[[str], object]
    of: Callable[[FaultKind], bool]

    @property
    def key(self) -> str:
        """Its name in Python and in JSON."""
        return self.word.replace("-", "_")


def _read_pieces(text: str) -> tuple[int, int]:
    sizes = read_size_range(text)
    if not sizes[0]:
        raise refused(text, "has pieces of 0 bytes; write 1, or 1-100")
    return sizes


def _read_delays(text: str) -> tuple[float, float]:
    least, hyphen, most = split_range(text)
    delays = read_seconds(least), read_seconds(most if hyphen else least)
    if delays[0] > delays[1]:
        raise refused(text, f"has its longer time first; write {most}-{least}")
    return delays


def _read_bandwidth(text: str) -> int:
    bandwidth = read_size(text.removesuffix("/s"))
    if not bandwidth:
        raise refused(text, "lets nothing pass; write bytes a second as 64KiB")
    return bandwidth


_OF_STREAMS = (
    FaultKind("slice", "pass on pieces of this size: 1, 1-100", None, "SIZE", _read_pieces, "1-100"),
    FaultKind("coalesce", "hold bytes back until there are this many", None, "SIZE", read_size, "4KiB"),
    FaultKind("delay", "from the arrival of a piece: 5ms, 5ms-20ms", None, "TIME", _read_delays, "5ms-20ms"),
    FaultKind("gap", "from one piece to the next, at least", None, "TIME", read_seconds, "1ms"),
    FaultKind("bandwidth", "bytes that pass in a second: 64KiB", None, "SIZE", _read_bandwidth, "64KiB"),
    FaultKind(
        "end-after", "end the stream when this many bytes have passed", None, "SIZE", read_size, "1MiB"
    ),
    FaultKind(
        "reset-after",
        "reset a connection when this many bytes have passed",
        None,
        "SIZE",
        read_size,
        "1MiB",
    ),
    FaultKind(
        "reset-after-total",
        "reset every connection when this many bytes have passed on all together",
        None,
        "SIZE",
        read_size,
        "1MiB",
    ),
    FaultKind(
        "reset-after-time",
        "reset a connection when it has been open for this time",
        None,
        "TIME",
        read_seconds,
        "30s",
    ),
)
_OF_FRAMES = tuple(
    FaultKind(fault.value, text, fault)
    for fault, text in (
        (FrameFault.CORRUPT, "invert one bit of the payload"),
        (FrameFault.DROP, "leave the frame out"),
        (FrameFault.DUPLICATE, "pass it on twice"),
        (FrameFault.SWAP, "pass it on after the next one; the last may be held back until the stream ends"),
        (FrameFault.TRUNCATE, "end the stream inside it"),
        (FrameFault.RESET, "reset the connection inside it"),
        (FrameFault.STALL, "pass nothing on from some byte of it on"),
    )
)
KINDS: dict[str, FaultKind] = {kind.word: kind for kind in (*_OF_STREAMS, *_OF_FRAMES)}


def _is_of_frames(kind: FaultKind) -> bool:
    return kind.frame_fault is not None


COALESCE_TIME: FaultParameter = FaultParameter(
    "coalesce-time",
    "TIME",
    "the longest time that they are held back (default: 50ms)",
    read_seconds,
    lambda kind: kind.word == "coalesce",
)
ON_FRAME: FaultParameter = FaultParameter(
    "on-frame",
    "K",
    "only to the K-th frame of a connection, counted from 1 in each direction",
    read_positive_count,
    _is_of_frames,
)
PROBABILITY: FaultParameter = FaultParameter(
    "probability",
    "P",
    "only to this share of all frames: 0.01 (default: 1)",
    read_probability,
    _is_of_frames,
)
SEED: FaultParameter = FaultParameter(
    "seed",
    "N",
    "decides its random choices (default: the proxy's)",
    read_count,
    _is_of_frames,
)
PARAMETERS: tuple[FaultParameter, ...] = (COALESCE_TIME, ON_FRAME, PROBABILITY, SEED)

"""What becomes of a stream of frames on its way: bytes in, steps out.

Nothing here waits, sends or knows the time. The same faults, random numbers and
bytes give the same steps, however the bytes were cut when they came in; only
where a piece begins and ends may depend on that.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ..framing import FrameFormat


class FrameFault(enum.Enum):
    """What can happen to a frame."""

    CORRUPT = "corrupt"  # one bit of its payload is turned over
    DROP = "drop"  # it does not arrive
    DUPLICATE = "duplicate"  # it arrives twice
    SWAP = "swap"  # it arrives after the next one
    TRUNCATE = "truncate"  # the stream ends inside of it
    RESET = "reset"  # the connection is reset inside of it
    STALL = "stall"  # from somewhere inside of it nothing comes any more


class Cut(enum.Enum):
    """How a stream stops being passed on."""

    END = "end"  # with the end of the stream
    RESET = "reset"  # with a reset of both connections
    STALL = "stall"  # with silence


class Send(NamedTuple):
    """Wait so long, then send this."""

    data: bytes
    delay_s: float = 0.0


Step = Send | Cut

_CUTS = {FrameFault.TRUNCATE: Cut.END, FrameFault.RESET: Cut.RESET, FrameFault.STALL: Cut.STALL}
# With a limited bandwidth bytes pass a few at a time, and not all after a long wait.
_TICKS_PER_S = 50
_COLLECTED = (FrameFault.DUPLICATE, FrameFault.SWAP)
_DEEDS = {
    FrameFault.CORRUPT: "is corrupted",
    FrameFault.DROP: "is dropped",
    FrameFault.DUPLICATE: "is duplicated",
    FrameFault.SWAP: "is swapped with the next",
    FrameFault.TRUNCATE: "is truncated",
    FrameFault.RESET: "is ended by a reset",
    FrameFault.STALL: "is stalled",
}


@dataclass(frozen=True)
class Faults:
    """What is done to a stream. Without arguments: nothing.

    Attributes:
      slice_bytes: the least and the most bytes of a piece; None for pieces as they come.
      coalesce_bytes: bytes are held back until there are so many, or `coalesce_s` have passed.
      coalesce_s: how long they may be held back, in seconds.
      delay_s: the least and the most seconds before a piece is passed on.
      bandwidth_bytes_per_s: how many bytes pass in a second; 0 for any number.
      reset_after_bytes: the connection is reset when so many bytes have been passed on; None for never.
      frame_fault: what happens to chosen frames; None for nothing.
      on_frame: the frame that is chosen, counted from 1 on each connection; None for any.
      probability: how probably a frame is chosen, from 0 to 1.
      format: how headers are written.

    Raises:
      ValueError: a number makes no sense.
    """

    slice_bytes: tuple[int, int] | None = None
    coalesce_bytes: int = 0
    coalesce_s: float = 0.05
    delay_s: tuple[float, float] = (0.0, 0.0)
    bandwidth_bytes_per_s: int = 0
    reset_after_bytes: int | None = None
    frame_fault: FrameFault | None = None
    on_frame: int | None = None
    probability: float = 1.0
    format: FrameFormat = field(default_factory=FrameFormat)

    def __post_init__(self) -> None:
        if self.slice_bytes is not None and not 1 <= self.slice_bytes[0] <= self.slice_bytes[1]:
            raise ValueError(f"pieces cannot have {self.slice_bytes} bytes")
        if not 0 <= self.delay_s[0] <= self.delay_s[1]:
            raise ValueError(f"a delay cannot be {self.delay_s} s")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"a probability cannot be {self.probability}")
        if min(self.coalesce_bytes, self.coalesce_s, self.bandwidth_bytes_per_s) < 0:
            raise ValueError("sizes, times and rates cannot be negative")
        if self.reset_after_bytes is not None and self.reset_after_bytes < 0:
            raise ValueError(f"a reset cannot come after {self.reset_after_bytes} bytes")
        if self.on_frame is not None and self.on_frame < 1:
            raise ValueError(f"frames are counted from 1, and not from {self.on_frame}")


CLEAN = Faults()


class FaultStream:
    """One direction of one connection.

    Give it what comes with `receive`; when the source has ended, call `end`. Do
    what they return, in order; after a `Cut` nothing follows. While
    `holds_back`, call `flush` when nothing has come for ``faults.coalesce_s``.

    Args:
      faults: what is done.
      numbers: where chance comes from.
      on_fault: called with a few words about each fault of a frame, or reset.

    Attributes:
      is_cut (bool): whether a `Cut` was returned.
    """

    def __init__(
        self,
        faults: Faults,
        numbers: random.Random,
        on_fault: Callable[[str], object] = lambda words: None,
    ) -> None:
        self.is_cut: bool = False
        self._faults = faults
        self._numbers = numbers
        self._on_fault = on_fault
        self._frames = _FrameStage(faults, numbers, on_fault)
        self._held = bytearray()
        self._passed_bytes = 0

    @property
    def holds_back(self) -> bool:
        """Whether bytes wait for more to join them."""
        return bool(self._held)

    def receive(self, data: bytes) -> list[Step]:
        """What to do about bytes that have come."""
        return self._pass_on(self._frames.receive(data))

    def flush(self) -> list[Step]:
        """What to do when nothing has come for a while."""
        return self._pass_on([], is_flush=True)

    def end(self) -> list[Step]:
        """What to do when the source has ended its stream; the end itself is the caller's to pass on."""
        return self._pass_on(self._frames.end(), is_flush=True)

    def _pass_on(self, parts: list[bytes | Cut], *, is_flush: bool = False) -> list[Step]:
        if self.is_cut:
            return []
        cut: Cut | None = None
        for part in parts:
            if isinstance(part, Cut):
                cut = part
            else:
                self._held += part
        limit = self._faults.reset_after_bytes
        if limit is not None and self._passed_bytes + len(self._held) >= limit:
            del self._held[limit - self._passed_bytes :]
            cut = Cut.RESET
            self._on_fault(f"is reset after {limit} bytes")
        steps: list[Step] = []
        if is_flush or cut is not None or len(self._held) >= self._faults.coalesce_bytes:
            self._passed_bytes += len(self._held)
            steps += self._sliced(bytes(self._held))
            self._held.clear()
        if cut is not None:
            self.is_cut = True
            steps.append(cut)
        return steps

    def _sliced(self, data: bytes) -> list[Send]:
        faults = self._faults
        pieces = []
        at = 0
        whole = len(data)
        if faults.bandwidth_bytes_per_s:
            whole = max(1, faults.bandwidth_bytes_per_s // _TICKS_PER_S)
        while at < len(data):
            size = self._numbers.randint(*faults.slice_bytes) if faults.slice_bytes else whole
            piece = data[at : at + size]
            at += size
            delay_s = self._numbers.uniform(*faults.delay_s) if faults.delay_s[1] else 0.0
            if faults.bandwidth_bytes_per_s:
                delay_s += len(piece) / faults.bandwidth_bytes_per_s
            pieces.append(Send(piece, delay_s))
        return pieces


class _FrameStage:
    """Follows the frames in a stream, and does to them what is to be done.

    Only frames that are to come twice, or later, are kept; all others pass as
    their bytes come.
    """

    def __init__(self, faults: Faults, numbers: random.Random, on_fault: Callable[[str], object]) -> None:
        self._faults = faults
        self._numbers = numbers
        self._on_fault = on_fault
        # A length that makes no sense, and what comes after it, is no frame.
        self._is_framed = faults.frame_fault is not None
        self._header = b""
        self._count = 0
        self._fault: FrameFault | None = None  # of the frame that is under way
        self._left = 0  # bytes of it that have not come
        self._at = 0  # bytes of it that have
        self._where = 0  # the byte of it to which something happens
        self._collected = b""
        self._overtaken = b""  # a frame that waits for the next one to pass

    def receive(self, data: bytes) -> list[bytes | Cut]:
        out: list[bytes | Cut] = []
        while data and self._is_framed:
            if self._left:
                piece, data = data[: self._left], data[self._left :]
                self._left -= len(piece)
                self._go_on(piece, out)
            else:
                missing = self._faults.format.header_bytes - len(self._header)
                self._header, data = self._header + data[:missing], data[missing:]
                if len(self._header) == self._faults.format.header_bytes:
                    header, self._header = self._header, b""
                    self._begin(header, out)
            if out and isinstance(out[-1], Cut):
                return out
        if data:
            out.append(data)
        return out

    def end(self) -> list[bytes | Cut]:
        """What was kept."""
        kept = self._collected + self._header + self._overtaken
        return [kept] if kept else []

    def _begin(self, header: bytes, out: list[bytes | Cut]) -> None:
        layout = self._faults.format
        length = int.from_bytes(header, layout.byte_order)
        if layout.length_includes_header:
            length -= layout.header_bytes
        if length < 0:
            self._is_framed = False
            out.append(header)
            return
        self._count += 1
        self._fault = self._choose()
        if self._fault in _CUTS:
            least = 1 if self._fault is FrameFault.TRUNCATE else 0
            self._where = self._numbers.randrange(least, len(header) + length)
        elif self._fault is FrameFault.CORRUPT and length:
            self._where = len(header) + self._numbers.randrange(length)
        if self._fault is not None:
            self._on_fault(f"frame {self._count} {_DEEDS[self._fault]}")
        self._at, self._left = 0, length
        self._go_on(header, out)

    def _choose(self) -> FrameFault | None:
        if self._faults.on_frame not in (None, self._count):
            return None
        if self._faults.probability < 1 and self._numbers.random() >= self._faults.probability:
            return None
        return self._faults.frame_fault

    def _go_on(self, piece: bytes, out: list[bytes | Cut]) -> None:
        """Pass on, or keep, the next piece of a frame."""
        start = self._at
        self._at += len(piece)
        is_hit = start <= self._where < self._at
        if self._fault in _CUTS:
            out.append(piece[: self._where - start] if is_hit else piece)
            if is_hit:
                out.append(_CUTS[self._fault])
            return
        if self._fault is FrameFault.CORRUPT and is_hit and self._where:
            at = self._where - start
            changed = piece[at] ^ (1 << self._numbers.randrange(8))
            piece = piece[:at] + bytes([changed]) + piece[at + 1 :]
        elif self._fault is FrameFault.DROP:
            piece = b""
        if self._fault in _COLLECTED or self._overtaken:
            self._collected += piece
            if not self._left:
                self._complete(out)
        else:
            out.append(piece)

    def _complete(self, out: list[bytes | Cut]) -> None:
        """A frame that was kept is whole."""
        frame, self._collected = self._collected, b""
        if self._fault is FrameFault.DUPLICATE:
            frame += frame
        if self._fault is FrameFault.SWAP and not self._overtaken:
            self._overtaken = frame
            return
        out.append(frame + self._overtaken)
        self._overtaken = b""

"""Finds the frames in a stream, and applies a fault to the chosen ones."""

from __future__ import annotations

import random
from collections.abc import Callable

from ..errors import RemoteProtocolError
from .faults import Cut, Faults, FrameFault

OnFault = Callable[[str, str], object]

# The largest frame that can be passed on twice, or later: it is kept in memory.
MAX_KEPT_BYTES = 256 << 20

_CUTS = {FrameFault.TRUNCATE: Cut.END, FrameFault.RESET: Cut.RESET, FrameFault.STALL: Cut.STALL}
_KEPT = (FrameFault.DUPLICATE, FrameFault.SWAP)
# The kind of each fault, as it is counted, and the words of the log.
_FAULTS = {
    FrameFault.CORRUPT: ("corrupted", "is corrupted"),
    FrameFault.DROP: ("dropped", "is dropped"),
    FrameFault.DUPLICATE: ("duplicated", "is duplicated"),
    FrameFault.SWAP: ("swapped", "is swapped with the next"),
    FrameFault.TRUNCATE: ("truncated", "is truncated"),
    FrameFault.RESET: ("reset", "is ended by a reset"),
    FrameFault.STALL: ("stalled", "is stalled"),
}


class FrameStage:
    """A stage that is given bytes as they come, and returns what is passed on.

    Frames pass as their bytes come, and the bytes of a frame without a fault are not even
    looked at. Only a frame that is passed on twice, or later, is kept as well. A fault is
    reported when it has happened: a frame that never becomes whole is not duplicated.

    Args:
      faults: which fault, and of which frames.
      numbers: the source of random numbers.
      on_fault: called with the kind of each fault, and its words for the log.
    """

    def __init__(self, faults: Faults, numbers: random.Random, on_fault: OnFault) -> None:
        self._faults = faults
        self._numbers = numbers
        self._on_fault = on_fault
        # A length that makes no sense begins no frame, and nothing after it is one.
        self._is_framed = faults.frame_fault is not None
        self._header = b""  # the beginning of a header
        self._count = 0
        self._fault: FrameFault | None = None  # of the frame that is under way
        self._at = 0  # bytes of it that have come, its header included
        self._left = 0  # bytes of it that have not
        self._where = -1  # the byte of it that has the fault; -1 for none
        self._kept = bytearray()  # what is kept of it
        self._overtaken: bytes | None = None  # a frame that waits for the next one to pass
        self._overtaken_number = 0
        self._is_cut = False

    def receive(self, data: bytes) -> list[bytes | Cut]:
        """Return what is passed on; after a `Cut` nothing follows."""
        out: list[bytes | Cut] = []
        start = at = 0  # the bytes between them pass as they are
        while at < len(data) and self._is_framed and not self._is_cut:
            if not self._left:
                begun = self._header
                found = self._find_header(data, at)
                if found is None:
                    return out + _some(data[start:at])
                self._header = b""
                self._begin(*found)
                if begun:  # in an earlier receive, so nothing of this one has been passed on
                    self._take(begun, out)
                    continue
            end = min(len(data), at + self._left)
            if self._fault is None and (self._overtaken is None or end - at < self._left):
                self._left -= end - at
            else:
                out += _some(data[start:at])
                self._take(data[at:end], out)
                start = end
            at = end
        if not self._is_cut:
            out += _some(data[start:])
        return out

    def end(self) -> list[bytes | Cut]:
        """Return what was kept, when the source has ended its stream."""
        kept = bytes(self._kept) if self._fault is FrameFault.SWAP else b""
        return [*_some(kept), *_some(self._header), *_some(self._overtaken or b"")]

    def _find_header(self, data: bytes, at: int) -> tuple[bytes, int | None] | None:
        """Return the next header, and the payload's length, None if it makes no sense.

        If it is not complete, return None and keep what has come of it.
        """
        header = self._header
        at -= len(header)  # where it would begin in the data, had it come whole
        while True:
            try:
                size, length = self._faults.format._measure(header, 0, len(header))
            except RemoteProtocolError:
                return header, None
            if length >= 0:
                return header, length
            header += data[at + len(header) : at + size]
            if len(header) < size:
                self._header = header
                return None

    def _begin(self, header: bytes, length: int | None) -> None:
        self._at, self._where, self._fault = 0, -1, None
        self._left = len(header)
        if length is None:
            self._is_framed = False
            return
        self._left += length + self._faults.format._bytes_behind(header, 0, len(header))
        self._count += 1
        fault = self._choose()
        if fault in _CUTS:
            least = 1 if fault is FrameFault.TRUNCATE else 0
            self._where = self._numbers.randrange(least, self._left)
        elif fault is FrameFault.CORRUPT:
            if not length:
                return  # there is no bit to turn over
            self._where = len(header) + self._numbers.randrange(length)
        elif fault is FrameFault.SWAP and self._overtaken is not None:
            return  # this one is the next, and overtakes
        elif fault in _KEPT and self._left > MAX_KEPT_BYTES:
            self._on_fault(
                "", f"frame {self._count} passes as it is: {self._left:,} bytes are too many to keep"
            )
            return
        self._fault = fault

    def _choose(self) -> FrameFault | None:
        if self._faults.on_frame not in (None, self._count):
            return None
        if self._faults.probability < 1 and self._numbers.random() >= self._faults.probability:
            return None
        return self._faults.frame_fault

    def _take(self, piece: bytes, out: list[bytes | Cut]) -> None:
        """Pass on, or keep, the next piece of a frame that has a fault."""
        start = self._at
        self._at += len(piece)
        self._left -= len(piece)
        at = self._where - start
        is_hit = 0 <= at < len(piece)
        if self._fault in _CUTS:
            out += _some(piece[:at] if is_hit else piece)
            if is_hit:
                self._report(self._fault)
                self._is_cut = True
                out.append(_CUTS[self._fault])
            return
        if self._fault is FrameFault.CORRUPT and is_hit:
            changed = piece[at] ^ (1 << self._numbers.randrange(8))
            piece = piece[:at] + bytes([changed]) + piece[at + 1 :]
            self._report(self._fault)
        elif self._fault is FrameFault.DROP and not start:
            self._report(self._fault)
        elif self._fault in _KEPT:
            self._kept += piece
        if self._fault not in (FrameFault.DROP, FrameFault.SWAP):
            out.append(piece)
        if not self._left:
            self._complete(out)

    def _complete(self, out: list[bytes | Cut]) -> None:
        kept, self._kept = self._kept, bytearray()
        if self._fault is FrameFault.SWAP:
            self._overtaken, self._overtaken_number = bytes(kept), self._count
        elif self._fault is FrameFault.DUPLICATE:
            out.append(bytes(kept))
            self._report(self._fault)
        elif self._overtaken is not None:
            out.append(self._overtaken)
            self._overtaken = None
            self._report(FrameFault.SWAP, self._overtaken_number)

    def _report(self, fault: FrameFault, number: int = 0) -> None:
        kind, words = _FAULTS[fault]
        self._on_fault(kind, f"frame {number or self._count} {words}")


def _some(data: bytes) -> list[bytes | Cut]:
    return [data] if data else []

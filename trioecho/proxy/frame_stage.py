"""Finds the frames in a stream, and applies a fault to the chosen ones."""

from __future__ import annotations

import random
from collections.abc import Callable

from ..errors import RemoteProtocolError
from .faults import Cut, Faults, FrameFault, FrameRule, NumbersOf

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
      faults: which faults, and of which frames.
      numbers_of: gives each rule its source of random numbers.
      on_fault: called with the kind of each fault, and its words for the log.
      is_changeable: whether `change` may be called; frames are then counted without a fault, too.
    """

    def __init__(
        self, faults: Faults, numbers_of: NumbersOf, on_fault: OnFault, *, is_changeable: bool = False
    ) -> None:
        self._format = faults.format
        self._numbers_of = numbers_of
        self._rules: dict[FrameRule, random.Random] = {}
        self._on_fault = on_fault
        # A length that makes no sense begins no frame, and nothing after it is one.
        self._is_framed = bool(faults.frame_rules) or is_changeable
        self._header = b""  # the beginning of a header
        self._passed = 0  # bytes of it that have been passed on; if any have, all
        self._count = 0
        self._fault: FrameFault | None = None  # of the frame that is under way
        self._numbers = random.Random(0)  # of the rule that has chosen it
        self._at = 0  # bytes of it that have come, its header included
        self._left = 0  # bytes of it that have not
        self._where = -1  # the byte of it that has the fault; -1 for none
        self._kept = bytearray()  # what is kept of it
        self._overtaken: bytes | None = None  # a frame that waits for the next one to pass
        self._overtaken_number = 0
        self._is_cut = False
        self.change(faults)

    def change(self, faults: Faults) -> None:
        """Choose by other rules, from the next frame on. The format stays.

        A rule that there was before goes on with its random numbers.
        """
        before = self._rules
        self._rules = {rule: before.get(rule) or self._numbers_of(rule) for rule in faults.frame_rules}

    def receive(self, data: bytes) -> list[bytes | Cut]:
        """Return what is passed on; after a `Cut` nothing follows."""
        out: list[bytes | Cut] = []
        start = at = 0  # the bytes between them pass as they are
        while at < len(data) and self._is_framed and not self._is_cut:
            if not self._left:
                begun = self._header
                found = self._find_header(data, at)
                if found is None:
                    # Without a rule nothing is kept, also where what comes has no frames of this format.
                    if self._passed or not (self._rules or begun):
                        self._passed = len(self._header)
                        at = len(data)
                    return out + _some(data[start:at])
                self._header = b""
                passed, self._passed = self._passed, 0
                self._begin(*found, passed)
                if begun and not passed:  # in an earlier receive, so nothing of this one has been passed on
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
        return [*_some(kept), *_some(self._header[self._passed :]), *_some(self._overtaken or b"")]

    def _find_header(self, data: bytes, at: int) -> tuple[bytes, int | None] | None:
        """Return the next header, and the payload's length, None if it makes no sense.

        If it is not complete, return None and keep what has come of it.
        """
        header = self._header
        at -= len(header)  # where it would begin in the data, had it come whole
        while True:
            try:
                size, length = self._format._measure(header, 0, len(header))
            except RemoteProtocolError:
                return header, None
            if length >= 0:
                return header, length
            header += data[at + len(header) : at + size]
            if len(header) < size:
                self._header = header
                return None

    def _begin(self, header: bytes, length: int | None, passed: int) -> None:
        self._at, self._where, self._fault = 0, -1, None
        self._left = len(header) - passed
        if length is None:
            self._is_framed = False
            return
        self._left += length + self._format._bytes_behind(header, 0, len(header))
        self._count += 1
        if passed:
            return  # it began before there was a rule
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
        for rule, numbers in self._rules.items():
            if rule.on_frame not in (None, self._count):
                continue
            if rule.probability >= 1 or numbers.random() < rule.probability:
                self._numbers = numbers
                return rule.fault
        return None

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
            return
        if self._fault is FrameFault.DUPLICATE:
            out.append(bytes(kept))
            self._report(self._fault)
        if self._overtaken is not None:
            out.append(self._overtaken)
            self._overtaken = None
            self._report(FrameFault.SWAP, self._overtaken_number)

    def _report(self, fault: FrameFault, number: int = 0) -> None:
        kind, words = _FAULTS[fault]
        self._on_fault(kind, f"frame {number or self._count} {words}")


def _some(data: bytes) -> list[bytes | Cut]:
    return [data] if data else []

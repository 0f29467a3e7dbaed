"""The faults of a stream, without time and without sockets: bytes in, steps out."""

from __future__ import annotations

from ..base.quantities import plural
from .counts import ByteCount
from .faults import Cut, Faults, NumbersOf, Send, Step
from .frame_stage import FrameStage, OnFault


class FaultStream:
    """One direction of one connection. It neither waits nor sends, and does not know the time.

    Give it what comes with `receive`; when the source has ended, call `end`. Do
    what they return, in order; after a `Cut` nothing follows. While
    `holds_back`, call `flush` when ``faults.coalesce_s`` have passed since it began to.

    The same faults, random numbers and bytes give the same bytes and the same cut, in
    whatever pieces the bytes came in.

    Args:
      faults: what is done.
      numbers_of: gives each rule of frames its source of random numbers.
      on_fault: called with the kind of each fault of a frame, or reset, and its words for
        the log; with an empty kind when a fault could not happen.
      is_changeable: whether `change` may be called.
      total: the bytes that this stream and others have let through together.

    Attributes:
      cut (Cut): how the stream was cut, after which nothing follows; None before.
    """

    def __init__(
        self,
        faults: Faults,
        numbers_of: NumbersOf,
        on_fault: OnFault = lambda kind, words: None,
        *,
        is_changeable: bool = False,
        total: ByteCount | None = None,
    ) -> None:
        self.cut: Cut | None = None
        self._faults = faults
        self._on_fault = on_fault
        self._frames = FrameStage(faults, numbers_of, on_fault, is_changeable=is_changeable)
        self._held = bytearray()
        self._passed_bytes = 0
        self._total = total or ByteCount()

    @property
    def holds_back(self) -> bool:
        """Whether bytes wait for more to join them."""
        return bool(self._held)

    def change(self, faults: Faults) -> None:
        """Do this from now on: to frames from the next one on, to bytes from the next ones on.

        Call `flush` then: what is held back passes.
        """
        self._faults = faults
        self._frames.change(faults)

    def receive(self, data: bytes) -> list[Step]:
        """Return what to do about bytes that have come."""
        return self._pass_on(self._frames.receive(data))

    def flush(self) -> list[Step]:
        """Return what to do when bytes have been held back for long enough."""
        return self._pass_on([], is_flush=True)

    def end(self) -> list[Step]:
        """Return what to do when the source has ended; the caller passes on the end itself."""
        return self._pass_on(self._frames.end(), is_flush=True)

    def _pass_on(self, parts: list[bytes | Cut], *, is_flush: bool = False) -> list[Step]:
        if self.cut is not None:
            return []
        if parts and isinstance(parts[-1], Cut):
            self.cut = parts[-1]
        data = b"".join(part for part in parts if isinstance(part, bytes))
        data = self._within_limits(data)
        self._total.value += len(data)
        is_held = len(self._held) + len(data) < self._faults.coalesce_bytes
        if is_held and not is_flush and self.cut is None:
            self._held += data
            return []
        if self._held:
            data = bytes(self._held + data)
            self._held.clear()
        self._passed_bytes += len(data)
        steps: list[Step] = [Send(data)] if data else []
        return [*steps, self.cut] if self.cut is not None else steps

    def _within_limits(self, data: bytes) -> bytes:
        """Return what may still pass of bytes that have come, and note the cut if that is the end."""
        faults = self._faults
        so_far = self._passed_bytes + len(self._held)
        limits = [
            (limit, limit - passed, cut, words)
            for limit, passed, cut, words in (
                (faults.reset_after_bytes, so_far, Cut.RESET, "the connection is reset after {}"),
                (faults.end_after_bytes, so_far, Cut.END, "the stream is ended after {}"),
                (
                    faults.reset_after_total_bytes,
                    self._total.value,
                    Cut.RESET,
                    "the connection is reset after {} of all connections",
                ),
            )
            if limit is not None
        ]
        if limits:
            limit, left, cut, words = min(limits, key=lambda each: each[1])
            room = max(0, left)  # it is less than none if the limit is newer than the bytes
            if len(data) >= room:
                self.cut = cut
                kind = "reset" if cut is Cut.RESET else "ended"
                self._on_fault(kind, words.format(plural(limit, "byte")))
                return data[:room]
        return data

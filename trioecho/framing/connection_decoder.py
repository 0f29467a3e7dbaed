"""The decoder of a connection: receives in place, and hands out without copies."""

from __future__ import annotations

from collections.abc import Sequence

from ..base.mypyc import mypyc_attr
from .decoder import DIAGNOSED_BYTES, FrameBatch, FrameDecoder
from .frame_format import DEFAULT_FORMAT, DEFAULT_MAX_FRAME_LENGTH, Frame, FrameFormat, encode_frame
from .header_keeper import HeaderKeeper
from .large_frame import LARGE_BYTES, BlockPool, LargeFrame
from .scanning import Scanner

# What has come of a frame is joined with its rest, unless a send of its own takes less
# time than a copy of so much (`scripts/bench --only bulk`).
_MOST_JOINED_BYTES = 1 << 13


@mypyc_attr(allow_interpreted_subclasses=True)
class ConnectionDecoder(FrameDecoder):
    """A `FrameDecoder` with what a server needs to be fast, at the price of more rules.

    What it overrides repeats a line or two of the base class, to spare each frame a call.

    Args:
      format: how headers are written.
      max_frame_length: payload bytes that a frame may have at most.
      pool: memory for large frames, which several decoders can share.

    Attributes:
      scanner: finds whole frames in bytes that the decoder was not given, for a caller that
        receives most of them elsewhere; it knows the decoder's format and limit.
      skipped_bytes (int): those of ``buffered_bytes`` that this decoder does not have; see `skip`.
    """

    __slots__ = (
        "_header_keeper",
        "_large",
        "_lent_blocks",
        "_most_header_bytes",
        "_pool",
        "scanner",
        "skipped_bytes",
    )

    # Declared again, since some type checkers infer what is assigned in a subclass anew.
    buffered_bytes: int
    frames_decoded: int

    def __init__(
        self,
        *,
        format: FrameFormat = DEFAULT_FORMAT,
        max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
        pool: BlockPool | None = None,
    ) -> None:
        super().__init__(format=format, max_frame_length=max_frame_length)
        # Headers that do not follow from their payloads are kept, in case that these are unread.
        self._header_keeper: HeaderKeeper | None = None
        if self._layout is not None and not self._layout.follows_from_payload:
            self._scanner = self._header_keeper = HeaderKeeper(format, self._scanner)
        self.scanner: Scanner = self._scanner
        self._most_header_bytes: int = (
            format.header_bytes if self._layout is None else self._layout.most_header_bytes
        )
        self._large: LargeFrame | None = None  # what the buffer holds comes after it
        self._pool = pool
        self._lent_blocks: Sequence[memoryview] = ()
        self.skipped_bytes: int = 0

    @property
    def may_have_next(self) -> bool:
        """Whether `next_frame` may return a frame, or raise; if not, it returns None."""
        return (
            self.buffered_bytes >= self._awaited_bytes
            or self._refusal is not None
            or (self._ended and self.buffered_bytes > 0)
        )

    def get_buffer(self) -> memoryview | None:
        """Return where to receive the rest of a large frame straight into place; None when there is none.

        A caller that has received into it calls `receive_data` with the part that was filled.
        """
        if self._large is None:
            if not LARGE_BYTES <= self.buffered_bytes < self._awaited_bytes or self._format.trailer:
                return None  # a trailer has to be looked at, when the frame is all there
            if self._pool is None:
                self._pool = BlockPool()
            self._large = LargeFrame(
                self._buffer.take_view(self.buffered_bytes), self._awaited_bytes, self._pool
            )
        return self._large.get_buffer() or None

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        if self._ended or self._refusal is not None:
            super().receive_data(data)
        elif self._large is None:
            self._buffer.append(data)
            self.buffered_bytes = len(self._buffer)
        else:
            taken = self._large.add(data)
            self._buffer.append(memoryview(data).cast("B")[taken:])
            self.buffered_bytes = self._large.received + len(self._buffer)

    def receive_pieces(self, data: bytes | memoryview) -> tuple[list[bytes | memoryview], int]:
        """Do `receive_data` and `next_batch` in one, without a copy where none is needed.

        Returns:
          The batch in pieces, which may lie in ``data`` itself, and the number of
          its frames; none and 0 when no frame is complete. Be done with the
          pieces, and call `release`, before ``data`` changes or more is received.
          Call `next_batch` before you wait for more; it reports a refused frame.
        """
        pieces: list[bytes | memoryview] = []
        count = position = 0
        start = 0  # of what is not joined, in `data`
        if self.buffered_bytes or self._ended or self._refusal is not None:
            position = self._awaited_bytes - self.buffered_bytes
            # A header of a layout may have more bytes than the shortest.
            if position > len(data) or self._awaited_bytes <= self._most_header_bytes:
                self.receive_data(data)
                batch = self.next_batch() if self.buffered_bytes >= self._awaited_bytes else None
                return ([batch.data], batch.frame_count) if batch else ([], 0)
            if self.buffered_bytes > _MOST_JOINED_BYTES and self._large is None and self._layout is None:
                pieces, count = [self._buffer.take_view(self.buffered_bytes)], 1
                self.buffered_bytes = 0
                self.frames_decoded += 1
            else:
                start = position
                self.receive_data(data[:position])
                if self._large is not None:
                    pieces, count = [memoryview(piece).toreadonly() for piece in self._large.pieces], 1
                    self._hand_out(self._large)
                else:
                    size, count = self._take_complete()
                    pieces = [self._buffer.take_view(size)]
        size, more, self._awaited_bytes = self.scanner.scan(data, position)
        if start < position + size:
            self.frames_decoded += more
            pieces.append(data[start : position + size])
        if position + size < len(data):
            self.receive_data(data[position + size :])
        return pieces, count + more

    def release(self) -> None:
        """Note that the pieces of the last batch are no longer looked at."""
        if self._pool is not None and self._lent_blocks:
            self._pool.give_back(self._lent_blocks)
            self._lent_blocks = ()

    # ---- what need not be seen ----

    def rest_bytes(self, beginning: bytes = b"") -> int:
        """Return how much is missing of the frame that has begun, and may be skipped.

        0 before its header is complete or if that is refused, while it is received in place,
        and in a format that has more than a length, since a trailer is to be checked.

        Args:
          beginning: what the frame begins with, where nothing is buffered.
        """
        if self._layout is not None:
            return 0
        awaited = self.scanner.scan(beginning)[2] if beginning else self._awaited_bytes
        if awaited <= self._header_bytes or self._large is not None:
            return 0
        return awaited - self.buffered_bytes - len(beginning)

    def skip(self, count: int, beginning: bytes | memoryview = b"") -> bytes | memoryview | None:
        """Count bytes of the rest of a frame as received, which somebody else keeps.

        Until the frame is whole, call only this, or `take_back` for all that was skipped.

        Args:
          count: how many.
          beginning: what the frame begins with, where nothing is buffered.

        Returns:
          The beginning of the frame, without what was skipped, when it is whole; it counts
          as handed out.
        """
        if beginning:
            self._awaited_bytes = self.scanner.scan(beginning)[2]
            self.receive_data(beginning)
        self.skipped_bytes += count
        self.buffered_bytes += count
        if self.buffered_bytes < self._awaited_bytes:
            return None
        beginning = self._buffer.take_view(self.buffered_bytes - self.skipped_bytes)
        self.buffered_bytes = self.skipped_bytes = 0
        self._awaited_bytes = self._header_bytes
        self.frames_decoded += 1
        return beginning

    def take_back(self, data: bytes) -> None:
        """Take bytes that were skipped, in their order."""
        left = self.skipped_bytes - len(data)
        self.buffered_bytes -= self.skipped_bytes
        self.get_buffer()  # what is large by now goes into blocks
        self.receive_data(data)
        self.buffered_bytes += left
        self.skipped_bytes = left

    # ---- frames ----

    def next_frame(self) -> bytes | None:
        if self._layout is not None:
            return super().next_frame()
        if self._large is not None and self.buffered_bytes >= self._awaited_bytes:
            return self._take_large(self._large, skip=self._header_bytes)
        size, count = self._take_complete(only_one=True)
        return self._buffer.take(size, skip=self._header_bytes) if count else None

    def next_whole_frame(self) -> Frame | None:
        frame = super().next_whole_frame()
        if frame is not None and self._header_keeper is not None:
            self._header_keeper.keep([frame])
        return frame

    def _next_wire(self) -> bytes | None:
        if self._large is not None and self.buffered_bytes >= self._awaited_bytes:
            return self._take_large(self._large)
        return super()._next_wire()

    def next_batch(self) -> FrameBatch | None:
        if self._large is not None and self.buffered_bytes >= self._awaited_bytes:
            return FrameBatch(self._take_large(self._large), 1)
        size, count = self._take_complete()
        return FrameBatch(self._buffer.take_view(size), count) if count else None

    def unread(self, payloads: Sequence[bytes]) -> None:
        """Take back the last payloads that `next_frames` or the scanner gave, as if it had not given them.

        Call it only while nothing was received or handed out since. A caller that has
        them from the scanner has counted them in `frames_decoded`.
        """
        if payloads:
            if self._header_keeper is not None:
                wires = self._header_keeper.wires(payloads)
            else:
                wires = [encode_frame(payload, format=self._format) for payload in payloads]
            wires.append(self._buffer.take(len(self._buffer)))
            self._buffer.append(b"".join(wires))
            self.buffered_bytes = len(self._buffer)
            self._awaited_bytes = self._header_bytes
            self.frames_decoded -= len(payloads)

    def diagnose_incomplete(self) -> str | None:
        """Return why the frame that has begun may never end, if what has come of it shows; else None."""
        return self._diagnose_incomplete()

    def _first_bytes(self) -> bytes:
        if self._large is not None:
            return bytes(self._large.pieces[0][:DIAGNOSED_BYTES])
        return super()._first_bytes()

    def _take_large(self, frame: LargeFrame, skip: int = 0) -> bytes:
        """Return a copy of a large frame that is complete, without its first bytes."""
        beginning, *pieces = frame.pieces
        taken = b"".join((beginning[skip:], *pieces))
        self._hand_out(frame)
        self.release()
        return taken

    def _hand_out(self, frame: LargeFrame) -> None:
        self.frames_decoded += 1
        self.buffered_bytes -= self._awaited_bytes
        self._awaited_bytes = self._header_bytes
        self._lent_blocks, self._large = frame.blocks, None
